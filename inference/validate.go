package inference

import "fmt"

// Bounds that no honest request crosses.
const (
	maxStops     = 16
	maxStopBytes = 256
	maxGrammar   = 256 << 10
)

// Validate checks everything that can be checked without a model. Errors wrap ErrBadRequest.
func (r *Request) Validate() error {
	bad := func(format string, a ...any) error {
		return fmt.Errorf("%w: "+format, append([]any{ErrBadRequest}, a...)...)
	}
	if len(r.Messages) == 0 {
		return bad("messages is empty: send at least one user message")
	}
	for i, m := range r.Messages {
		switch m.Role {
		case RoleUser, RoleAssistant:
		case RoleSystem:
			if i != 0 {
				return bad("messages[%d]: only the first message may be a system message", i)
			}
		default:
			return bad("messages[%d]: role is %q: want system, user or assistant", i, m.Role)
		}
	}
	if last := r.Messages[len(r.Messages)-1]; last.Role != RoleUser {
		return bad("the last message has role %q: want user", last.Role)
	}
	s := r.Sampling
	switch {
	case !(s.Temperature >= 0 && s.Temperature <= 2):
		return bad("temperature is %v: want 0 to 2", s.Temperature)
	case !(s.TopP >= 0 && s.TopP <= 1):
		return bad("top_p is %v: want 0 to 1", s.TopP)
	case !(s.MinP >= 0 && s.MinP <= 1):
		return bad("min_p is %v: want 0 to 1", s.MinP)
	case s.TopK < 0:
		return bad("top_k is %d: want 0 or more", s.TopK)
	case r.MaxTokens < 0:
		return bad("max_tokens is %d: want 0 or more", r.MaxTokens)
	case len(r.Stop) > maxStops:
		return bad("%d stop texts: at most %d", len(r.Stop), maxStops)
	}
	for i, t := range r.Stop {
		if t == "" || len(t) > maxStopBytes {
			return bad("stop[%d] has %d bytes: want 1 to %d", i, len(t), maxStopBytes)
		}
	}
	return r.Format.validate(bad)
}

func (f Format) validate(bad func(string, ...any) error) error {
	switch f.Kind {
	case "", FormatText, FormatJSONObject:
		return nil
	case FormatJSONSchema:
		if len(f.Schema) == 0 {
			return bad("response_format json_schema has no schema")
		}
		return nil
	case FormatGrammar:
		if f.Grammar == "" || len(f.Grammar) > maxGrammar {
			return bad("grammar has %d bytes: want 1 to %d", len(f.Grammar), maxGrammar)
		}
		return nil
	}
	return bad("response_format type is %q: want text, json_object or json_schema", f.Kind)
}
