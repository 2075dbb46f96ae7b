// Command parts writes what image/build.sh needs and only the code knows: the card's layout
// for genimage, which slot starts, the kernels' command lines, and the initial RAM file
// system for a kernel that has its drivers in modules.
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

// modules are loaded before the root is there: virtual disks for tests, cards and USB on
// boards, and the root's file system.
var modules = []string{
	"virtio_pci", "virtio_mmio", "virtio_blk", "virtio_net", "virtio_console",
	"sdhci_iproc", "bcm2835", "squashfs",
}

func main() {
	f := flag.NewFlagSet("parts", flag.ExitOnError)
	out := f.String("o", "", "write into this `folder`")
	name := f.String("name", "lineside", "`name` of the image")
	moduleDir := f.String("modules", "", "`folder` of a kernel's modules, as /lib/modules/6.1.0-49-arm64; empty: no initrd")
	program := f.String("init", "", "the built image/initrd/init")
	_ = f.Parse(os.Args[1:]) // ends the program itself
	if err := write(*out, *name, *moduleDir, *program); err != nil {
		fmt.Fprintf(os.Stderr, "parts: %v\n", err)
		os.Exit(1)
	}
}

func write(out, name, moduleDir, program string) error {
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
	if moduleDir == "" {
		return nil
	}
	f, err := os.Create(filepath.Join(out, "initrd.img"))
	if err != nil {
		return err
	}
	return errors.Join(initrd.Init(f, program, moduleDir, modules), f.Close())
}
