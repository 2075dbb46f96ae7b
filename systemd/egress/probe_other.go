//go:build !linux

package egress

import "context"

// Probe tries nothing where there is no systemd.
func Probe(context.Context, Plan) []Attempt { return nil }
