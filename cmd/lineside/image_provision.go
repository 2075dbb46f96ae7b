package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"lineside/daemon/config"
	"lineside/image/layout"
	"lineside/image/provision"
)

// cardPolicy is what a card's lineside.toml has to satisfy: linesided's own rules.
func cardPolicy() provision.Policy {
	return provision.Policy{
		Files: map[string]provision.Kind{
			"mqtt.ca_file":            provision.Certificate,
			"mqtt.cert_file":          provision.Certificate,
			"mqtt.key_file":           provision.Key,
			"mqtt.password_file":      provision.Secret,
			"mqtt.embedded_cert_file": provision.Certificate,
			"mqtt.embedded_key_file":  provision.Key,
			"mqtt.embedded_acl_file":  provision.Plain,

			"mqtt.embedded_users_file": provision.Secret,
		},
		Check: func(b []byte) error {
			_, err := config.Parse(bytes.NewReader(b))
			return err
		},
		Default: []byte("# There is no good lineside.toml on the card; STATUS.txt there says what to do.\n" +
			"[leds]\nkind = \"led\"\nlamps = { status = \"sysfs:ACT\" }\n"),
	}
}

func imageProvisionCommand() *cobra.Command {
	var file string
	var check bool
	cmd := &cobra.Command{
		Use:   "provision TARGET --config FILE",
		Short: "Put a configuration with its certificates on a card or image",
		Long: `Checks a lineside.toml with every file that it names beside it, and copies them to the card's
first partition; a folder "skills" and an owner.pub beside it go along. TARGET is an image
file, a card's device, or the folder where the card's first partition is mounted. Only a
device asks for rights. The board imports everything at its next start, and takes secrets
off the card again.`,
		Example: `  lineside image provision --check b03/lineside.toml
  lineside image provision lineside.img --config b03/lineside.toml
  lineside image provision /media/mia/LINESIDE --config b03/lineside.toml
  sudo lineside image provision /dev/sdb --config b03/lineside.toml`,
		Args: exactArgs(1, "one TARGET, or one FILE with --check"),
	}
	cmd.Flags().StringVar(&file, "config", "", "the board's `FILE` lineside.toml, with what it names beside it")
	cmd.Flags().BoolVar(&check, "check", false, "only check the file that is named as TARGET")
	cmd.RunE = func(c *cobra.Command, args []string) error {
		switch {
		case check && file != "":
			return fmt.Errorf("%w: --check takes the file in TARGET's place", errUsage)
		case check:
			file = args[0]
		case file == "":
			return fmt.Errorf("%w: --config is missing", errUsage)
		}
		files, err := readSite(file)
		if err != nil {
			return err
		}
		if check {
			fmt.Fprintf(c.OutOrStdout(), "%s is good, with %d files\n", file, len(files))
			return nil
		}
		s, err := openSelector(args[0], true)
		if err != nil {
			return err
		}
		if err := errors.Join(writeSite(s, files), s.Close()); err != nil {
			return err
		}
		fmt.Fprintf(c.OutOrStdout(), "%s is on %s, with %d files\n", layout.ConfigFile, args[0], len(files)-1)
		return nil
	}
	return cmd
}

// readSite checks a lineside.toml and gathers what goes to the card with it.
func readSite(file string) (map[string][]byte, error) {
	dir := filepath.Dir(file)
	site := os.DirFS(dir)
	if base := filepath.Base(file); base != layout.ConfigFile {
		site = renamed{site, base}
	}
	plan, err := provision.Read(site, nil, cardPolicy())
	if err != nil {
		return nil, fmt.Errorf("%s:\n%w", file, err)
	}
	return plan.Card(), nil
}

// writeSite writes the configuration last, so that it never names what is not there.
func writeSite(s selector, files map[string][]byte) error {
	names := make([]string, 0, len(files))
	for n := range files {
		if n != layout.ConfigFile {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	for _, n := range append(names, layout.ConfigFile) {
		if dir := path.Dir(n); dir != "." {
			if err := s.Mkdir(dir); err != nil {
				return err
			}
		}
		if err := s.WriteFile(n, files[n]); err != nil {
			return err
		}
	}
	return nil
}
