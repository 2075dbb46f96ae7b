//go:build cgo

package llama

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"fmt"
	"maps"
	"slices"
	"unsafe"

	"lineside/inference/engine"
	"lineside/inference/model/gguf"
)

var _ engine.Wearer = (*Runtime)(nil)

// load reads the adapters of a model.
func (r *Runtime) load(adapters map[string]string, base *gguf.Header) error {
	for _, name := range slices.Sorted(maps.Keys(adapters)) {
		path := adapters[name]
		if err := checkAdapter(path, base); err != nil {
			return err
		}
		c := C.CString(path)
		var e reason
		ok := C.ls_adapter_load(r.s.c, c, e.ptr(), e.cap())
		C.free(unsafe.Pointer(c))
		if !ok {
			return fmt.Errorf("adapter %s: %s", path, e.explain())
		}
		r.adapters = append(r.adapters, name)
	}
	return nil
}

// Wear implements engine.Wearer.
func (r *Runtime) Wear(adapter string) error {
	if r.s.c == nil {
		return errClosed
	}
	i := slices.Index(r.adapters, adapter)
	if i < 0 && adapter != "" {
		return fmt.Errorf("there is no adapter %q: %q were loaded", adapter, r.adapters)
	}
	r.asked = r.asked[:0]
	var e reason
	var ok C.bool
	r.pass(func() { ok = C.ls_adapter_wear(r.s.c, C.int(i), e.ptr(), e.cap()) })
	if !ok {
		return fmt.Errorf("lay adapter %q over the model: %s", adapter, e.explain())
	}
	return nil
}
