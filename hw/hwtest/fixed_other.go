//go:build !linux

package hwtest

import "errors"

// Fix makes a folder one that takes no writes; only Linux can.
func Fix(string) (back func() error, err error) { return nil, errors.ErrUnsupported }
