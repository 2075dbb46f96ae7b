package main

import "golang.org/x/sys/cpu"

// newer reports dot products and half floats, which tools/cgoenv.sh's pi5 build takes for granted.
func newer() bool { return cpu.ARM64.HasASIMDDP && cpu.ARM64.HasASIMDHP && cpu.ARM64.HasFPHP }
