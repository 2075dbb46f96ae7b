package mqtt

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Encode writes a payload as compact JSON without HTML escapes: small PLCs
// read it as it is. It fails only where a raw field holds no JSON. Answers
// have their own Encode, which keeps them within a size.
func Encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("encode %T: %w", v, err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// Decode reads a payload of a board leniently: unknown fields may
// come with a newer version.
func Decode(payload []byte, v any) error {
	if err := json.Unmarshal(payload, v); err != nil {
		return fmt.Errorf("decode %T: %w", v, err)
	}
	return nil
}
