//go:build !linux

package hw

import "errors"

// Only Linux is read as a live machine; elsewhere captured trees are.

func openMailbox() mailbox { return nil }

func diskSpace(string) (free, size float64, err error) { return 0, 0, errors.ErrUnsupported }

func readOnly(string) (bool, error) { return false, errors.ErrUnsupported }

func kernelSynced() (bool, error) { return false, errors.ErrUnsupported }

func memoryTotal(string) (uint64, error) { return 0, errors.ErrUnsupported }
