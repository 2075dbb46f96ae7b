package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"lineside/image/flash"
	"lineside/image/layout"
	"lineside/image/notice"
	"lineside/image/release"
	"lineside/image/slots"
)

const (
	stickDir     = layout.RunDir + "/stick" // where a stick is mounted while it is read
	bundleFolder = "lineside"               // on the stick
	bundleEnd    = ".raucb"
)

func imageInstallCommand() *cobra.Command {
	var i installation
	cmd := &cobra.Command{
		Use:   "install [BUNDLE]",
		Short: "Install an update on this board, and try it",
		Long: `Run on the board. Installs a signed update into the slot that does not run, restarts into it
once, and keeps it when it is healthy. Without BUNDLE: the one on the USB stick, in its folder
"lineside" or at its top. An older version than the running one is refused. Models and data are
not touched.`,
		Example: `  sudo lineside image install
  sudo lineside image install /media/stick/lineside/lineside-1.3.0.raucb`,
		Args: cobra.MaximumNArgs(1),
	}
	i.root = rootFlag(cmd)
	cmd.Flags().BoolVar(&i.allowOlder, "allow-older", false, "install although it is older than what runs")
	cmd.Flags().BoolVar(&i.stay, "no-restart", false, "only install: lineside image slots try starts it later")
	cmd.RunE = func(c *cobra.Command, args []string) error {
		err := i.run(c, args)
		n := notice.Notice{Name: updateNotice, Condition: "update_failed"}
		if err != nil {
			n.Why = "the update was not installed: " + firstLine(err)
			err = errors.Join(err, notice.Put(*i.root, n))
		}
		return err
	}
	return cmd
}

// updateNotice is the name of the one notice about updates.
const updateNotice = "update"

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// installation is one run of the command.
type installation struct {
	root             *string
	allowOlder, stay bool
}

func (i *installation) run(c *cobra.Command, args []string) error {
	s, err := board(*i.root).Status()
	switch {
	case err != nil:
		return err
	case s.Booted == "":
		return fmt.Errorf("this board does not run from a Lineside card: %w", slots.ErrWhere)
	case s.Firmware != "":
		return errors.New(s.Firmware)
	case s.Trial != nil && s.Trial.Phase == slots.Running:
		return fmt.Errorf("slot %s is being tried: wait until it is kept or given up", s.Trial.Slot)
	}
	if len(args) == 1 {
		return i.install(c, args[0])
	}
	return onStick(c, *i.root, func(dir string) error {
		bundle, err := findBundle(dir)
		if err != nil {
			return err
		}
		return i.install(c, bundle)
	})
}

// install checks the version, has RAUC write the slot, and starts it.
func (i *installation) install(c *cobra.Command, bundle string) error {
	version, err := bundleVersion(c, bundle)
	if err != nil {
		return err
	}
	running := imageVersion(*i.root)
	if !i.allowOlder {
		if err := newer(version, running); err != nil {
			return err
		}
	}
	why := fmt.Sprintf("version %s is being installed", version)
	if err := notice.Put(*i.root, notice.Notice{Name: updateNotice, Condition: "updating", Why: why}); err != nil {
		return err
	}
	fmt.Fprintln(c.OutOrStdout(), why+": do not switch off")
	rauc := exec.CommandContext(c.Context(), "rauc", "install", bundle)
	rauc.Stdout, rauc.Stderr = c.OutOrStdout(), c.ErrOrStderr()
	if err := rauc.Run(); err != nil {
		return fmt.Errorf("rauc could not install %s: %w: what ran before still runs", filepath.Base(bundle), err)
	}
	if i.stay {
		fmt.Fprintln(c.OutOrStdout(), "installed; lineside image slots try starts it")
		return notice.Put(*i.root, notice.Notice{Name: updateNotice, Why: fmt.Sprintf("version %s is installed and waits to be tried", version)})
	}
	return board(*i.root).Fire(func() error { return restartOnTrial(c, *i.root) })
}

// newer refuses a downgrade.
func newer(version, running string) error {
	if running != "" && release.Compare(version, running) < 0 {
		return fmt.Errorf("version %s is older than %s, which runs: --allow-older installs it all the same", version, running)
	}
	return nil
}

// bundleVersion asks RAUC, which checks the bundle's signature first.
func bundleVersion(c *cobra.Command, bundle string) (string, error) {
	cmd := exec.CommandContext(c.Context(), "rauc", "info", "--output-format=json", bundle)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s is no update for this board, or not signed by its maker: %w: %s", filepath.Base(bundle), err, strings.TrimSpace(stderr.String()))
	}
	var info struct {
		Version string `json:"version"`
	}
	if err := json.Unmarshal(out, &info); err != nil || info.Version == "" {
		return "", fmt.Errorf("%s does not say its version", filepath.Base(bundle))
	}
	return info.Version, nil
}

// findBundle is the one update in a stick's folder.
func findBundle(dir string) (string, error) {
	var all []string
	for _, d := range []string{filepath.Join(dir, bundleFolder), dir} {
		list, err := filepath.Glob(filepath.Join(d, "*"+bundleEnd))
		if err != nil {
			return "", err
		}
		all = append(all, list...)
	}
	switch len(all) {
	case 0:
		return "", errNoBundle
	case 1:
		return all[0], nil
	}
	var names []string
	for _, b := range all {
		names = append(names, filepath.Base(b))
	}
	slices.Sort(names)
	return "", fmt.Errorf("several updates are on the stick: leave one of %s", strings.Join(names, ", "))
}

var errNoBundle = fmt.Errorf("no update (*%s) is on a USB stick: copy it there with lineside image update --stick", bundleEnd)

// onStick mounts removable media one after the other, read-only, until use finds an update.
func onStick(c *cobra.Command, root string, use func(dir string) error) error {
	disks, err := flash.Disks(root)
	if err != nil {
		return err
	}
	at := filepath.Join(root, stickDir)
	if err := os.MkdirAll(at, 0o700); err != nil {
		return err
	}
	for _, d := range disks {
		if d.Refused != "" {
			continue
		}
		parts, _ := filepath.Glob(filepath.Join(root, "sys/block", d.Name, d.Name+"*"))
		devices := []string{d.Path}
		for _, p := range parts {
			devices = append(devices, filepath.Join(root, "dev", filepath.Base(p)))
		}
		for _, dev := range devices {
			if exec.CommandContext(c.Context(), "mount", "-o", "ro,nosuid,nodev,noexec", dev, at).Run() != nil {
				continue // no file system, or the whole disk of a partitioned one
			}
			err := use(at)
			if uerr := exec.Command("umount", at).Run(); uerr != nil && err == nil {
				err = fmt.Errorf("unmount the stick: %w", uerr)
			}
			if !errors.Is(err, errNoBundle) {
				return err
			}
		}
	}
	return errNoBundle
}

// noteOutcome tells the daemon what a start found.
func noteOutcome(root string, r slots.Report) error {
	n := notice.Notice{Name: updateNotice, Why: r.Text}
	switch r.Outcome {
	case slots.Steady:
		return notice.Clear(root, updateNotice)
	case slots.OnTrial:
		n.Condition = "updating"
	case slots.RolledBack, slots.FellBack:
		n.Condition = "update_failed"
	}
	return notice.Put(root, n)
}

func imageUpdateCommand() *cobra.Command {
	var b brokerFlags
	var stick string
	cmd := &cobra.Command{
		Use:   "update [BUNDLE --stick DIR]",
		Short: "Bring an update to a board: over a USB stick, started over MQTT",
		Long: `A board never updates itself. With --stick: copies an update to a USB stick and reads it back.
Without: asks the board over MQTT, as one of its operators, to install the update on the stick
that is plugged into it. The board's events tell how it goes.`,
		Example: `  lineside image update lineside-1.3.0.raucb --stick /media/mia/STICK
  lineside image update --board b03 --broker mqtts://broker.plant:8883 --ca ca.pem --username ops --password-file pw`,
		Args: cobra.MaximumNArgs(1),
	}
	b.register(cmd)
	cmd.Flags().StringVar(&stick, "stick", "", "folder `DIR` where the USB stick is mounted")
	cmd.RunE = func(c *cobra.Command, args []string) error {
		switch {
		case (stick == "") != (len(args) == 0):
			return fmt.Errorf("%w: a BUNDLE goes to a stick: give both, or neither to start the update", errUsage)
		case stick != "":
			return copyToStick(c, args[0], stick)
		}
		return b.startUpdate(c)
	}
	return cmd
}

// copyToStick copies a bundle beside none other, and reads it back.
func copyToStick(c *cobra.Command, bundle, stick string) error {
	if filepath.Ext(bundle) != bundleEnd {
		return fmt.Errorf("%w: %s is no update: want a *%s file", errUsage, bundle, bundleEnd)
	}
	if old, err := findBundle(stick); err == nil && filepath.Base(old) != filepath.Base(bundle) {
		return fmt.Errorf("another update is on the stick: remove %s first", old)
	}
	i, err := os.Stat(bundle)
	if err != nil {
		return err
	}
	from, err := os.Open(bundle)
	if err != nil {
		return err
	}
	defer from.Close()
	dir := filepath.Join(stick, bundleFolder)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	path := filepath.Join(dir, filepath.Base(bundle))
	to, err := os.OpenFile(path+".part", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: is the stick write-protected?", err)
	}
	if err != nil {
		return err
	}
	w := flash.Writer{Image: from, Map: flash.Whole(i.Size()), To: to}
	if err := errors.Join(withBars(c, &w), to.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".part", path); err != nil {
		return err
	}
	fmt.Fprintf(c.OutOrStdout(), "%s is on the stick and was read back\nplug it into the board, then: lineside image update --board NAME, or there sudo lineside image install\n", filepath.Base(bundle))
	return nil
}
