package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"time"

	"aead.dev/minisign"
	"github.com/spf13/cobra"

	"lineside/inference/model/bundle"
	"lineside/inference/model/fit"
)

// person is who runs the command, for records that name one.
func person() string {
	u, err := user.Current()
	switch {
	case err != nil:
		return ""
	case u.Name != "" && u.Name != u.Username:
		return u.Name
	}
	return u.Username
}

func modelKeyCommand() *cobra.Command {
	var passwordFile string
	cmd := &cobra.Command{
		Use:   "key NAME",
		Short: "Make the owner's pair of keys for signing bundles",
		Long: `Writes NAME.key, which signs and stays with the owner, and NAME.pub, which every
board gets as /etc/lineside/owner.pub. Both are minisign files.`,
		Example: `  lineside model key owner
  lineside model key owner --password-file secret.txt`,
		Args: exactArgs(1, "one NAME"),
		RunE: func(c *cobra.Command, args []string) error {
			password, err := readPassword(passwordFile)
			if err != nil {
				return err
			}
			pub, priv, err := minisign.GenerateKey(rand.Reader)
			if err != nil {
				return err
			}
			public, err := pub.MarshalText()
			if err != nil {
				return err
			}
			secret, err := priv.MarshalText()
			if err == nil && password != "" {
				secret, err = minisign.EncryptKey(password, priv)
			}
			if err != nil {
				return err
			}
			if err := writeNew(args[0]+".key", append(secret, '\n'), 0o600); err != nil {
				return err
			}
			if err := writeNew(args[0]+".pub", append(public, '\n'), 0o644); err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "%s.key signs: keep it with the owner\n%s.pub verifies: copy it to /etc/lineside/owner.pub on every board\n", args[0], args[0])
			return nil
		},
	}
	cmd.Flags().StringVar(&passwordFile, "password-file", "", "encrypt the key with the first line of this `FILE`")
	return cmd
}

// writeNew writes a file that must not be there yet.
func writeNew(path string, b []byte, mode os.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Close())
}

// readPassword is the first line of a file, empty for no file.
func readPassword(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	b, err := os.ReadFile(path)
	line, _, _ := strings.Cut(string(b), "\n")
	return strings.TrimRight(line, "\r"), err
}

func readKey(path, passwordFile string) (minisign.PrivateKey, error) {
	var k minisign.PrivateKey
	b, err := os.ReadFile(path)
	if err != nil {
		return k, fmt.Errorf("the owner's key: %w: make one with lineside model key", err)
	}
	if !minisign.IsEncrypted(b) {
		err = k.UnmarshalText(b)
	} else if password, perr := readPassword(passwordFile); perr != nil {
		err = perr
	} else if k, err = minisign.DecryptKey(password, b); err != nil {
		err = fmt.Errorf("%w: give its password with --password-file", err)
	}
	if err != nil {
		return k, fmt.Errorf("the owner's key %s: %w", path, err)
	}
	return k, nil
}

func modelBundleCommand() *cobra.Command {
	var s bundle.Source
	var out, key, passwordFile, override, by string
	cmd := &cobra.Command{
		Use:   "bundle FILE",
		Short: "Make a signed bundle from a model file and its licence",
		Long: `Makes the folder that travels to the boards: weights, LICENSE, USE_POLICY.md,
NOTICE, a manifest with the hash of each, and the owner's signature. The licence is
found by its text in the --texts folder, and what the model file says about it is
not asked. An adapter (LoRA) names its model with --base.`,
		Example: `  lineside model bundle Llama-3.2-1B-Instruct-Q4_0.gguf --texts ~/llama --key owner.key --source "meta-llama, by hand" -o /media/stick/llama-1b
  lineside model bundle tuned.gguf --base Llama-3.2-1B.gguf --name Llama-plant --texts ~/llama --key owner.key -o tuned`,
		Args: exactArgs(1, "one FILE"),
	}
	f := cmd.Flags()
	f.StringVar(&s.Texts, "texts", "", "folder `DIR` with LICENSE and USE_POLICY.md as they came with the model")
	f.StringVar(&s.Name, "name", "", "name of the model (default: of the file)")
	f.StringVar(&s.Origin, "source", "", "where the weights were taken from")
	f.StringVar(&s.Base, "base", "", "for an adapter: the model `FILE` it belongs to")
	f.StringVar(&key, "key", "", "the owner's secret key `FILE`")
	f.StringVar(&passwordFile, "password-file", "", "the key's password is the first line of this `FILE`")
	f.StringVar(&override, "override", "", "the owner's `REASON` why a model may run that rules speak against")
	f.StringVar(&by, "by", person(), "who gives that reason")
	f.StringVarP(&out, "output", "o", "", "folder `DIR` to make")
	cmd.RunE = func(c *cobra.Command, args []string) error {
		for flag, value := range map[string]string{"texts": s.Texts, "key": key, "output": out} {
			if value == "" {
				return fmt.Errorf("%w: --%s is missing", errUsage, flag)
			}
		}
		var err error
		if s.Key, err = readKey(key, passwordFile); err != nil {
			return err
		}
		s.Weights, s.Now = args[0], time.Now()
		if override != "" {
			s.Override = &bundle.Override{Reason: override, By: by, Date: s.Now.UTC().Format(time.DateOnly)}
		}
		st, err := os.Stat(s.Weights)
		if err != nil {
			return err
		}
		bar, done := progress(c.ErrOrStderr(), "bundling "+filepath.Base(s.Weights), st.Size())
		s.Copied = func(n int64) { advance(bar, n) }
		m, err := bundle.Make(c.Context(), s, filepath.Clean(out))
		done()
		if err != nil {
			return err
		}
		fmt.Fprintf(c.OutOrStdout(), "%s: %s, licence %s, %s, signed\n", out, m.Name, m.Licence, fit.Size(uint64(m.Bytes())))
		return nil
	}
	return cmd
}

// advance moves a bar by n bytes that went elsewhere.
func advance(bar io.Writer, n int64) {
	if b, ok := bar.(interface{ Add64(int64) error }); ok {
		b.Add64(n)
	}
}
