package machine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
)

// DeviceTree writes the device tree that QEMU makes for the options, changed by edit,
// which gets and returns its source. The file is made in dir; Options.DTB takes it.
func DeviceTree(ctx context.Context, o Options, dir string, edit func(source string) (string, error)) (file string, err error) {
	own := filepath.Join(dir, "own.dtb")
	args := board(o)
	args[1] += ",dumpdtb=" + own
	if out, err := exec.CommandContext(ctx, "qemu-system-aarch64", args...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("qemu does not tell its device tree: %w: %s", err, bytes.TrimSpace(out))
	}
	source, err := exec.CommandContext(ctx, "dtc", "-q", "-I", "dtb", "-O", "dts", own).Output()
	if err != nil {
		return "", fmt.Errorf("read qemu's device tree: %w: install device-tree-compiler", err)
	}
	changed, err := edit(string(source))
	if err != nil {
		return "", err
	}
	text := filepath.Join(dir, "changed.dts")
	if err := os.WriteFile(text, []byte(changed), 0o644); err != nil {
		return "", err
	}
	file = filepath.Join(dir, "changed.dtb")
	if out, err := exec.CommandContext(ctx, "dtc", "-q", "-I", "dts", "-O", "dtb", "-o", file, text).CombinedOutput(); err != nil {
		return "", fmt.Errorf("compile the device tree: %w: %s", err, bytes.TrimSpace(out))
	}
	return file, nil
}

// gpioChip is QEMU's GPIO chip in its device tree.
var gpioChip = regexp.MustCompile(`(?m)^\s*(pl061@[0-9a-f]+ \{)`)

// WithLamp adds the lamp /sys/class/leds/ACT to a device tree, where a Raspberry Pi has its own.
func WithLamp(source string) (string, error) {
	if !gpioChip.MatchString(source) {
		return "", errors.New("qemu's board has no GPIO chip")
	}
	return gpioChip.ReplaceAllString(source, "gpio: $1") +
		`/ { leds { compatible = "gpio-leds"; lamp { label = "ACT"; gpios = <&gpio 5 0>; }; }; };`, nil
}
