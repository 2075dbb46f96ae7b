//go:build cgo

package llama

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/cgo"
	"strings"
	"sync"
	"unsafe"

	// The C code itself. Its Go half stays unused: BackendInit would load
	// libraries from a lib/ollama folder beside the program's, and LoadModelFromFile
	// cannot be cancelled.
	_ "github.com/ollama/ollama/llama"
)

// initBackend readies llama.cpp's process-wide state once.
var initBackend = sync.OnceFunc(func() { C.ls_init() })

//export linesideLog
func linesideLog(level C.int, text *C.char) {
	if msg := strings.TrimSpace(C.GoString(text)); strings.Trim(msg, ".") != "" {
		slog.Debug("llama.cpp", "level", int(level), "text", msg)
	}
}

// hooks is what C asks Go for while a call runs.
type hooks struct {
	progress func(part float64) bool // false cancels the load
	abort    func() bool             // true ends the pass
}

//export linesideProgress
func linesideProgress(part C.float, h C.uintptr_t) C.bool {
	return C.bool(cgo.Handle(h).Value().(*hooks).progress(float64(part)))
}

//export linesideAbort
func linesideAbort(h C.uintptr_t) C.bool {
	return C.bool(cgo.Handle(h).Value().(*hooks).abort())
}

// session owns the C side of one model.
type session struct {
	c      *C.ls_session
	handle cgo.Handle
}

// open loads the file, which check has passed.
func open(ctx context.Context, path string, o C.ls_options, h *hooks, progress func(float64)) (*session, error) {
	initBackend()
	h.progress = func(part float64) bool {
		if progress != nil {
			progress(part)
		}
		return ctx.Err() == nil
	}
	s := &session{handle: cgo.NewHandle(h)}
	o.go_ = C.uintptr_t(s.handle)
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	var e reason
	if s.c = C.ls_open(name, &o, e.ptr(), e.cap()); s.c != nil {
		return s, nil
	}
	s.handle.Delete()
	if err := context.Cause(ctx); err != nil {
		return nil, fmt.Errorf("loading %s: %w", path, err)
	}
	slog.Debug("llama.cpp refused a model", "path", path, "reason", e.String())
	return nil, refused(path, e.String())
}

func (s *session) close() {
	C.ls_close(s.c)
	s.c = nil
	s.handle.Delete()
}

// reason takes llama.cpp's words about a failure.
type reason [1024]C.char

func (r *reason) ptr() *C.char   { return &r[0] }
func (r *reason) cap() C.size_t  { return C.size_t(len(r)) }
func (r *reason) String() string { return strings.TrimSpace(C.GoString(&r[0])) }

func (r *reason) explain() string { return explain(r.String()) }

// errThrown is an exception inside llama.cpp; what it was is in the debug log.
var errThrown = errors.New("llama.cpp failed inside; the debug log has its words")
