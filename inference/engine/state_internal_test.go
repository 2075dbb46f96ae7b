package engine

import (
	"errors"
	"slices"
	"testing"
)

// FuzzDecodeState: a saved prefix is read whole with its own key, or not at all.
func FuzzDecodeState(f *testing.F) {
	good := encodeState("model", []int32{1, 2, 3}, []byte("cells"))
	f.Add("model", good)
	f.Add("other", good)
	f.Add("model", good[:len(good)-1])
	f.Add("model", []byte(stateMagic))
	f.Add("", []byte{})
	f.Fuzz(func(t *testing.T, key string, b []byte) {
		tokens, state, err := decodeState(key, b)
		if err != nil {
			if !errors.Is(err, errDamaged) && !errors.Is(err, errForeign) || tokens != nil || state != nil {
				t.Fatalf("%v, %v, %v", tokens, state, err)
			}
			return
		}
		if again := encodeState(key, tokens, state); !slices.Equal(again, b) {
			t.Fatalf("%q is read as %v and %q, which is written as %q", b, tokens, state, again)
		}
	})
}

func TestDecodeState(t *testing.T) {
	good := encodeState("model", []int32{1, -2, 3}, []byte("cells"))
	tokens, state, err := decodeState("model", good)
	if err != nil || !slices.Equal(tokens, []int32{1, -2, 3}) || string(state) != "cells" {
		t.Errorf("%v, %q, %v", tokens, state, err)
	}
	if _, _, err := decodeState("other", good); !errors.Is(err, errForeign) {
		t.Errorf("another key: %v", err)
	}
	for i := range good {
		bad := slices.Clone(good)
		bad[i] ^= 0x40
		if _, _, err := decodeState("model", bad); !errors.Is(err, errDamaged) {
			t.Errorf("byte %d flipped: %v", i, err)
		}
		if _, _, err := decodeState("model", good[:i]); !errors.Is(err, errDamaged) {
			t.Errorf("cut to %d bytes: %v", i, err)
		}
	}
	if _, _, err := decodeState("model", append(slices.Clone(good), 0)); !errors.Is(err, errDamaged) {
		t.Errorf("a byte too many: %v", err)
	}
}
