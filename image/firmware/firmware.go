// Package firmware does what a Raspberry Pi's bootloader does before the kernel runs, as
// far as a card decides it: it reads autoboot.txt with its [all] and [tryboot] sections,
// honours the one-shot trial flag, and finds the partition, kernel, initrd and command
// line that start. Tests use it to start a shipping image where there is no board.
//
// It never writes to the card. What it takes for the firmware's behaviour is documented
// or was measured on boards by others; no board of ours has confirmed it.
package firmware

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"

	"lineside/image/fat"
	"lineside/image/layout"
)

// Board is what the bootloader remembers while the power is on, and what it is.
type Board struct {
	Model string // "pi4" or "pi5": filters sections of config.txt
	// Tryboot is the one-shot flag that a restart can set. Every start clears it, as
	// does a power cut.
	Tryboot bool
	// Old is a bootloader from before 2022-12-01, which knows no A/B trial: it starts
	// whatever [tryboot] names, always.
	Old bool
}

// Boot is what starts.
type Boot struct {
	Partition int         // boot partition
	Slot      layout.Slot // whose it is
	Tryboot   bool        // as a trial
	Kernel    string      // files on the boot partition
	Initrd    string      // empty: none
	Cmdline   string
}

// ErrNoBoot says that the card starts nothing: the board shows its rescue screen.
var ErrNoBoot = errors.New("no bootable partition on the card")

// limit of what the bootloader reads of autoboot.txt.
const autobootLimit = 512

const maxText = 64 << 10

// Start reads the card as a board does that has just got power or was restarted.
func (b *Board) Start(card *os.File) (Boot, error) {
	tryboot := b.Tryboot
	b.Tryboot = false
	table, err := layout.ReadTable(card)
	if err != nil {
		return Boot{}, fmt.Errorf("%w: %w", ErrNoBoot, err)
	}
	var failed []error
	for _, n := range b.candidates(card, table, tryboot) {
		boot, err := b.load(card, table, n)
		if err == nil {
			boot.Tryboot = tryboot
			return boot, nil
		}
		failed = append(failed, fmt.Errorf("partition %d: %w", n, err))
	}
	return Boot{}, fmt.Errorf("%w: %w", ErrNoBoot, errors.Join(failed...))
}

// candidates are the partitions in the order of trying: the one that autoboot.txt names,
// then every FAT partition from the first on.
func (b *Board) candidates(card *os.File, table layout.Table, tryboot bool) []int {
	var order []int
	if v, err := open(card, table, layout.Selector); err == nil {
		if text, err := v.ReadFile(layout.AutobootFile, maxText); err == nil {
			if n, ok := Choose(text, tryboot || b.Old); ok {
				order = append(order, n)
			}
		}
	}
	for _, e := range table.Entries {
		if e.Type == layout.TypeFAT32 {
			order = append(order, e.Number)
		}
	}
	return order
}

// Choose finds the partition that an autoboot.txt names.
func Choose(autoboot []byte, tryboot bool) (partition int, ok bool) {
	autoboot = autoboot[:min(len(autoboot), autobootLimit)]
	applies := func(section string) bool { return section == "all" || section == "tryboot" && tryboot }
	settings := parse(autoboot, applies)
	n, err := strconv.Atoi(settings["boot_partition"])
	return n, err == nil && n > 0
}

// parse reads key=value lines of the sections that apply; the last value counts. Lines
// before any section apply.
func parse(text []byte, applies func(section string) bool) map[string]string {
	settings, on := map[string]string{}, true
	for line := range bytes.Lines(text) {
		l := strings.TrimSpace(string(line))
		if s, ok := strings.CutPrefix(l, "["); ok && strings.HasSuffix(s, "]") {
			on = applies(strings.TrimSuffix(s, "]"))
			continue
		}
		if strings.HasPrefix(l, "#") || !on {
			continue
		}
		if key, value, ok := strings.Cut(l, "="); ok {
			settings[strings.TrimSpace(key)] = strings.TrimSpace(value)
		} else if f := strings.Fields(l); len(f) > 1 && f[0] == "initramfs" {
			settings["initramfs"] = f[1]
		}
	}
	return settings
}

func open(card *os.File, table layout.Table, n int) (*fat.Volume, error) {
	e, ok := table.Find(n)
	if !ok {
		return nil, errors.New("not in the table")
	}
	return fat.Open(card, e.Start, e.Bytes, false)
}

// load reads config.txt and command line of a boot partition, and sees that what they
// name is there.
func (b *Board) load(card *os.File, table layout.Table, n int) (Boot, error) {
	v, err := open(card, table, n)
	if err != nil {
		return Boot{}, err
	}
	text, err := v.ReadFile("config.txt", maxText)
	if err != nil {
		return Boot{}, fmt.Errorf("no firmware to start: %w", err)
	}
	config := parse(text, func(s string) bool { return s == "all" || s == b.Model })
	prefix := config["os_prefix"]
	slot, _ := layout.SlotOfBoot(n)
	boot := Boot{Partition: n, Slot: slot, Kernel: prefix + first(config["kernel"], b.kernel())}
	if i := config["initramfs"]; i != "" {
		boot.Initrd = prefix + i
	}
	for _, name := range []string{boot.Kernel, boot.Initrd} {
		if name == "" {
			continue
		}
		if err := present(v, name); err != nil {
			return Boot{}, err
		}
	}
	line, err := v.ReadFile(prefix+first(config["cmdline"], layout.CmdlineFile), maxText)
	if err != nil {
		return Boot{}, err
	}
	boot.Cmdline = strings.TrimSpace(string(line))
	return boot, nil
}

// Load finds what a slot would start on a board of the model.
func Load(card *os.File, model string, s layout.Slot) (Boot, error) {
	table, err := layout.ReadTable(card)
	if err != nil {
		return Boot{}, err
	}
	b := Board{Model: model}
	return b.load(card, table, s.BootPartition())
}

func (b *Board) kernel() string {
	if b.Model == "pi5" {
		return "kernel_2712.img"
	}
	return "kernel8.img"
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func present(v *fat.Volume, name string) error {
	list, err := v.List(path.Dir(name))
	if err != nil {
		return err
	}
	for _, f := range list {
		if strings.EqualFold(f.Name, path.Base(name)) && f.Bytes > 0 {
			return nil
		}
	}
	return fmt.Errorf("%s: %w", name, os.ErrNotExist)
}

// File reads a file of the partition that starts, as the kernel or the initrd.
func File(card *os.File, b Boot, name string) ([]byte, error) {
	table, err := layout.ReadTable(card)
	if err != nil {
		return nil, err
	}
	v, err := open(card, table, b.Partition)
	if err != nil {
		return nil, err
	}
	return v.ReadFile(name, 256*layout.MiB)
}
