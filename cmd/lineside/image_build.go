package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	"aead.dev/minisign"
	"github.com/spf13/cobra"

	"lineside/image/release"
)

func imageBuildCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "build [ARGUMENTS]",
		Short: "Build the image and the update (in Lineside's source tree)",
		Long: `Runs image/build.sh of the source tree that it is called in, with the arguments as they are;
make image does so with the package of the same tree. Without arguments: how it is used.`,
		Example: `  make image
  lineside image build -k debian dist/lineside_1.3.0_arm64.deb dist/image`,
		DisableFlagParsing: true,
	}
	cmd.RunE = func(c *cobra.Command, args []string) error {
		if len(args) == 1 && (args[0] == "--help" || args[0] == "-h") {
			return c.Help()
		}
		script := filepath.Join("image", "build.sh")
		if _, err := os.Stat(script); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("there is no %s here: run it in Lineside's source tree", script)
		}
		build := exec.CommandContext(c.Context(), "./"+script, args...)
		build.Stdin, build.Stdout, build.Stderr = c.InOrStdin(), c.OutOrStdout(), c.ErrOrStderr()
		if err := build.Run(); err != nil {
			return fmt.Errorf("%s: %w", script, err)
		}
		return nil
	}
	return cmd
}

func imageSignCommand() *cobra.Command {
	var key, passwordFile string
	cmd := &cobra.Command{
		Use:   "sign DIR",
		Short: "Sign a release's SHA256SUMS",
		Long: `Signs the SHA256SUMS in DIR with a minisign key, so that lineside image verify and flash can
check what was downloaded. lineside model key makes a pair of keys.`,
		Example: `  lineside image sign dist/image --key release.key`,
		Args:    exactArgs(1, "one DIR"),
	}
	cmd.Flags().StringVar(&key, "key", "", "the release's secret key `FILE`")
	cmd.Flags().StringVar(&passwordFile, "password-file", "", "the key's password is the first line of this `FILE`")
	cmd.RunE = func(c *cobra.Command, args []string) error {
		if key == "" {
			return fmt.Errorf("%w: --key is missing", errUsage)
		}
		k, err := readKey(key, passwordFile)
		if err != nil {
			return err
		}
		sums, err := os.ReadFile(filepath.Join(args[0], release.SumsFile))
		if err != nil {
			return err
		}
		path := filepath.Join(args[0], release.SignatureFile)
		if err := os.WriteFile(path, minisign.Sign(k, sums), 0o644); err != nil {
			return err
		}
		fmt.Fprintf(c.OutOrStdout(), "%s signs what %s lists\n", path, release.SumsFile)
		return nil
	}
	return cmd
}
