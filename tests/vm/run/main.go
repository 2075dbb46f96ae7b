// Command run boots the test machine with root's shell on this terminal: `make vm`.
// What is changed inside is gone when the shell ends.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"lineside/tests/vm/base"
	"lineside/tests/vm/machine"
)

func main() {
	f := flag.NewFlagSet("run", flag.ExitOnError)
	f.Usage = func() {
		fmt.Fprintf(f.Output(), "usage: make vm, or go run ./tests/vm/run [DISK...]\n\nDISK: further raw disk images for the machine, read-only: /dev/vdb and so on.\n")
	}
	_ = f.Parse(os.Args[1:]) // ends the program itself
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, f.Args(), os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "vm: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, disks []string, out io.Writer) error {
	b, err := base.Make(ctx, out)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "vm-run-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	initrd, err := b.Initrd(ctx, dir)
	if err != nil {
		return err
	}
	shell, err := base.Shell(dir)
	if err != nil {
		return err
	}
	o := machine.Options{
		Kernel: b.Kernel, Initrd: []string{initrd, shell}, Append: "root=/dev/vda rw quiet",
		Disks: []machine.Disk{{Path: b.Disk}}, Log: out, Input: os.Stdin,
	}
	for _, d := range disks {
		o.Disks = append(o.Disks, machine.Disk{Path: d, ReadOnly: true})
	}
	fmt.Fprintf(out, "booting; the host's loopback is %s from inside; leave with exit or Ctrl-C\n", machine.HostAddr)
	m, err := machine.Boot(ctx, o)
	if err != nil {
		return err
	}
	err = m.Wait(ctx)
	if ctx.Err() != nil {
		err = nil
	}
	return errors.Join(err, m.Close())
}
