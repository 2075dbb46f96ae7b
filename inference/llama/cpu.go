//go:build cgo

package llama

// The C files of this package run on every processor: check_cpu in cpu.c must
// reach its sentence, and none of them is hot. Go puts these flags behind the
// environment's -march, so they win.

// #cgo amd64 CFLAGS: -march=x86-64
// #cgo amd64 CXXFLAGS: -march=x86-64
// #cgo arm64 CFLAGS: -march=armv8-a
// #cgo arm64 CXXFLAGS: -march=armv8-a
import "C"
