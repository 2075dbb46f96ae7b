package main

import (
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"lineside/image/flash"
	"lineside/image/release"
	"lineside/inference/model/fit"
	"lineside/inference/model/store"
)

func imageFlashCommand() *cobra.Command {
	var yes, list bool
	var key string
	cmd := &cobra.Command{
		Use:   "flash IMAGE [CARD]",
		Short: "Write an image to a card, and read it back",
		Long: `Without CARD: lists the cards that may be written. A disk that is built in, mounted or
used by the system is never written. With CARD: checks the image against the SHA256SUMS beside
it, asks, writes what the block map (IMAGE.bmap) names, and reads everything back. An image may be
compressed (.gz).`,
		Example: `  lineside image flash --list
  sudo lineside image flash lineside.img.gz sdb
  sudo lineside image flash lineside.img mmcblk0 --key release.pub`,
		Args: cobra.MaximumNArgs(2),
	}
	root, asJSON := rootFlag(cmd), jsonFlag(cmd)
	cmd.Flags().BoolVar(&list, "list", false, "only list the disks, also those that are refused")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.Flags().StringVar(&key, "key", "", "the release's public key `FILE`: refuse an image that it did not sign")
	cmd.RunE = func(c *cobra.Command, args []string) error {
		disks, err := flash.Disks(*root)
		switch {
		case err != nil:
			return err
		case *asJSON && (list || len(args) == 1):
			return printJSON(c.OutOrStdout(), disks)
		case list || len(args) == 1:
			return printDisks(c.OutOrStdout(), disks, list)
		case len(args) == 0:
			return fmt.Errorf("%w: want IMAGE and CARD, or --list", errUsage)
		}
		d, err := flash.Find(disks, args[1])
		if err != nil {
			return err
		}
		return flashCard(c, args[0], d, key, yes)
	}
	return cmd
}

func printDisks(out io.Writer, disks []flash.Disk, all bool) error {
	rows := [][]string{{"CARD", "SIZE", "WHAT", ""}}
	for _, d := range disks {
		if d.Refused == "" || all {
			rows = append(rows, []string{d.Name, fit.Size(uint64(d.Bytes)), d.Model, d.Refused})
		}
	}
	if len(rows) == 1 {
		fmt.Fprintln(out, "no card that may be written: put one in; lineside image flash --list shows all disks")
		return nil
	}
	return table(out, rows)
}

// flashCard does the work after a card was chosen.
func flashCard(c *cobra.Command, image string, d flash.Disk, key string, yes bool) error {
	if err := checkImage(c, image, key); err != nil {
		return err
	}
	from, m, err := openImage(image)
	if err != nil {
		return err
	}
	defer from.Close()
	if m.ImageBytes > d.Bytes {
		return fmt.Errorf("the image needs %s, the card has %s", fit.Size(uint64(m.ImageBytes)), fit.Size(uint64(d.Bytes)))
	}
	if !yes {
		if err := confirm(c, d); err != nil {
			return err
		}
	}
	to, err := os.OpenFile(d.Path, os.O_RDWR|os.O_EXCL, 0)
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: writing a card asks for rights: run it with sudo", err)
	}
	if err != nil {
		return err
	}
	w := flash.Writer{Image: from, Map: m, To: to}
	err = withBars(c, &w)
	if err = errors.Join(err, to.Close()); err != nil {
		return err
	}
	fmt.Fprintf(c.OutOrStdout(), "%s holds %s: written and read back, %s\nnext: lineside image provision %s --config lineside.toml\n",
		d.Name, filepath.Base(image), fit.Size(uint64(m.Bytes())), d.Path)
	return nil
}

// withBars runs the writer with a bar for each phase.
func withBars(c *cobra.Command, w *flash.Writer) error {
	phase, last, end := "", int64(0), func() {}
	var bar io.Writer
	w.Progress = func(p string, done, total int64) {
		if p != phase {
			end()
			phase, last = p, 0
			bar, end = progress(c.ErrOrStderr(), p, total)
		}
		advance(bar, done-last)
		last = done
	}
	err := w.Run(c.Context())
	end()
	return err
}

// confirm has the person type the card's name.
func confirm(c *cobra.Command, d flash.Disk) error {
	fmt.Fprintf(c.ErrOrStderr(), "Everything on %s (%s, %s) will be lost. Type %s to go on: ", d.Name, d.Model, fit.Size(uint64(d.Bytes)), d.Name)
	line, _ := bufio.NewReader(c.InOrStdin()).ReadString('\n')
	if strings.TrimSpace(line) != d.Name {
		return errors.New("nothing was written")
	}
	return nil
}

// checkImage compares the image with the sums beside it, where there are any; with a key
// there must be, and signed.
func checkImage(c *cobra.Command, image, key string) error {
	sums, err := openSums(filepath.Dir(image), key)
	if errors.Is(err, fs.ErrNotExist) && key == "" {
		fmt.Fprintf(c.ErrOrStderr(), "there is no %s beside the image: it is written unchecked\n", release.SumsFile)
		return nil
	}
	if err != nil {
		return err
	}
	return checkSum(c.Context(), c.ErrOrStderr(), sums, filepath.Dir(image), filepath.Base(image))
}

func openSums(dir, key string) (*release.Sums, error) {
	if key == "" {
		return release.Open(dir, nil)
	}
	if _, err := os.Stat(key); err != nil {
		return nil, fmt.Errorf("the release's key: %w", err)
	}
	keys, err := store.Keys(key)
	if err != nil {
		return nil, err
	}
	return release.Open(dir, keys)
}

func checkSum(ctx context.Context, stderr io.Writer, sums *release.Sums, dir, name string) error {
	i, err := os.Stat(filepath.Join(dir, name))
	if err != nil {
		return err
	}
	bar, done := progress(stderr, "checking "+name, i.Size())
	defer done()
	return sums.Check(ctx, name, func(n int64) { advance(bar, n) })
}

// openImage opens an image, compressed or not, with its block map.
func openImage(image string) (io.ReadCloser, flash.Map, error) {
	f, err := os.Open(image)
	if err != nil {
		return nil, flash.Map{}, err
	}
	plain := strings.TrimSuffix(image, ".gz")
	m, err := blockMap(plain+".bmap", f, plain == image)
	if err != nil {
		return nil, m, errors.Join(err, f.Close())
	}
	if plain == image {
		return f, m, nil
	}
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, m, errors.Join(fmt.Errorf("%w: %w", flash.ErrImage, err), f.Close())
	}
	return struct {
		io.Reader
		io.Closer
	}{z, f}, m, nil
}

func blockMap(path string, image *os.File, plain bool) (flash.Map, error) {
	b, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		if !plain {
			return flash.Map{}, fmt.Errorf("a compressed image needs its block map: copy %s beside it", filepath.Base(path))
		}
		i, err := image.Stat()
		if err != nil {
			return flash.Map{}, err
		}
		return flash.Whole(i.Size()), nil
	}
	if err != nil {
		return flash.Map{}, err
	}
	defer b.Close()
	return flash.ParseMap(b)
}

func imageVerifyCommand() *cobra.Command {
	var key string
	cmd := &cobra.Command{
		Use:   "verify FILE|DIR",
		Short: "Check a release's files: sums and signature",
		Long: `Checks one file, or every file of a folder, against the SHA256SUMS beside it, and with --key
that list against its minisign signature.`,
		Example: `  lineside image verify lineside.img.gz --key release.pub
  lineside image verify download/ --key release.pub`,
		Args: exactArgs(1, "one FILE or DIR"),
	}
	cmd.Flags().StringVar(&key, "key", "", "the release's public key `FILE`")
	cmd.RunE = func(c *cobra.Command, args []string) error {
		i, err := os.Stat(args[0])
		if err != nil {
			return err
		}
		dir, names := filepath.Dir(args[0]), []string{filepath.Base(args[0])}
		if i.IsDir() {
			dir = args[0]
		}
		sums, err := openSums(dir, key)
		if err != nil {
			return err
		}
		if i.IsDir() {
			names = sums.Names
		}
		for _, n := range names {
			if err := checkSum(c.Context(), c.ErrOrStderr(), sums, dir, n); err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "%s: good\n", n)
		}
		if sums.Signed {
			fmt.Fprintln(c.OutOrStdout(), "signed by "+key)
		} else {
			fmt.Fprintln(c.OutOrStdout(), "the signature was not checked: give the release's key with --key")
		}
		return nil
	}
	return cmd
}
