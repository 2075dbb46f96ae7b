// Command parts writes what image/build.sh needs and only the code knows: the card's layout
// for genimage, which slot starts, the kernels' command lines, and the initial RAM file
// system of each kernel.
//
// It makes no file system and runs no tool.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"lineside/image/initrd"
	"lineside/image/layout"
	"lineside/image/slots"
)

// Modules that are loaded before the root is there; a kernel may have some in itself.
var (
	board   = []string{"squashfs"} // Raspberry Pi's kernels have card and USB in themselves
	virtual = append([]string{"virtio_pci", "virtio_mmio", "virtio_blk", "virtio_net", "virtio_console"}, board...)
)

func main() {
	f := flag.NewFlagSet("parts", flag.ExitOnError)
	out := f.String("o", "", "write into this `folder`")
	name := f.String("name", "lineside", "`name` of the image")
	kernels := f.String("modules", "", "`folder` with the modules of each kernel image, as in kernel8 and kernel_2712")
	machine := f.Bool("virtual", false, "the kernels are for virtual machines")
	program := f.String("init", "", "the built image/initrd/init")
	_ = f.Parse(os.Args[1:]) // ends the program itself
	if err := write(*out, *name, *kernels, *program, *machine); err != nil {
		fmt.Fprintf(os.Stderr, "parts: %v\n", err)
		os.Exit(1)
	}
}

func write(out, name, kernels, program string, machine bool) error {
	var genimage strings.Builder
	if err := layout.Genimage(&genimage, name); err != nil {
		return err
	}
	for file, content := range map[string]string{
		"genimage.cfg":      genimage.String(),
		layout.AutobootFile: string(slots.Autoboot(layout.A)),
		"cmdline-a.txt":     layout.Cmdline(layout.A) + "\n",
		"cmdline-b.txt":     layout.Cmdline(layout.B) + "\n",
	} {
		if err := os.WriteFile(filepath.Join(out, file), []byte(content), 0o644); err != nil {
			return err
		}
	}
	modules := board
	if machine {
		modules = virtual
	}
	list, err := os.ReadDir(kernels)
	if err != nil {
		return err
	}
	for _, k := range list {
		if err := writeInitrd(filepath.Join(out, initrdName(k.Name())), filepath.Join(kernels, k.Name()), program, modules); err != nil {
			return err
		}
	}
	return nil
}

// initrdName is initrd8.img for kernel8, and so on.
func initrdName(kernel string) string {
	return "initrd" + strings.TrimPrefix(kernel, "kernel") + ".img"
}

func writeInitrd(file, moduleDir, program string, modules []string) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	return errors.Join(initrd.Init(f, program, moduleDir, modules), f.Close())
}
