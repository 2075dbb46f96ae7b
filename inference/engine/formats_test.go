package engine

import (
	"fmt"
	"strings"
	"testing"

	"lineside/inference"
)

// listOf is a schema that is told apart from others by its number, and takes some memory.
func listOf(n int) inference.Format {
	var names []string
	for i := range 200 {
		names = append(names, fmt.Sprintf(`"value-%d-%d"`, n, i))
	}
	return inference.Format{Kind: inference.FormatJSONSchema, Schema: []byte(`{"enum":[` + strings.Join(names, ",") + `]}`)}
}

// TestFormatsAreBounded: those used last are remembered, as far as the bytes reach.
func TestFormatsAreBounded(t *testing.T) {
	f := &formats{budget: 1}
	first, err := f.compile(listOf(0))
	if err != nil {
		t.Fatal(err)
	}
	if again, err := f.compile(listOf(0)); err != nil || again != first {
		t.Errorf("the last one used is compiled again: %v", err)
	}
	one := first.Size()
	if one < 10_000 {
		t.Fatalf("a format of 200 values takes %d bytes?", one)
	}
	f.budget = 5*one + one/2
	for n := range 20 {
		if _, err := f.compile(listOf(n)); err != nil {
			t.Fatal(err)
		}
		if again, err := f.compile(listOf(0)); err != nil || again != first { // always in use
			t.Fatalf("after %d others the one in use is gone: %v", n, err)
		}
	}
	size := 0
	for _, c := range f.known {
		size += c.Size()
	}
	if len(f.known) < 3 || len(f.known) > 5 || size > f.budget {
		t.Errorf("%d formats of %d bytes are remembered within %d", len(f.known), size, f.budget)
	}
	if f.forget(); len(f.known) != 0 {
		t.Error("formats are left")
	}
}
