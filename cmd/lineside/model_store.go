package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"lineside/inference/model/bundle"
	"lineside/inference/model/fit"
	"lineside/inference/model/licence"
	"lineside/inference/model/store"
)

// Where a board keeps its models and whose signatures it trusts. The environment
// can name other places.
const (
	defaultStore = "/var/lib/lineside/models" // $LINESIDE_MODELS
	defaultOwner = "/etc/lineside/owner.pub"  // $LINESIDE_OWNER_KEY
)

// storeFlags are those of every command that works on installed models.
type storeFlags struct {
	dir, owner string
}

func addStoreFlags(c *cobra.Command) *storeFlags {
	var f storeFlags
	c.Flags().StringVar(&f.dir, "store", cmp.Or(os.Getenv("LINESIDE_MODELS"), defaultStore), "folder `DIR` of installed models")
	c.Flags().StringVar(&f.owner, "owner-key", cmp.Or(os.Getenv("LINESIDE_OWNER_KEY"), defaultOwner),
		"public key `FILE` of the owner, whose signature is trusted")
	return &f
}

func (f *storeFlags) open() (*store.Store, error) {
	keys, err := store.Keys(f.owner)
	if err != nil {
		return nil, err
	}
	s, err := store.Open(f.dir, store.Options{Keys: keys})
	if errors.Is(err, os.ErrPermission) {
		return nil, fmt.Errorf("%w: run it with sudo, or name another folder with --store", err)
	}
	return s, err
}

// storeCommand is a command on one store; run gets it opened.
func storeCommand(c *cobra.Command, run func(*cobra.Command, *store.Store, []string) error) *cobra.Command {
	f := addStoreFlags(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		s, err := f.open()
		if err != nil {
			return err
		}
		return run(c, s, args)
	}
	return c
}

func modelInstallCommand() *cobra.Command {
	var o store.InstallOptions
	cmd := &cobra.Command{
		Use:   "install DIR",
		Short: "Install a bundle from a stick or folder",
		Long: `Checks the signature, the licence and the space, then copies and reads back every
byte. Run it again after a power cut or a pulled stick: it goes on where it stopped.
A bundle that something speaks against goes into quarantine.`,
		Example: `  lineside model install /media/stick/llama-1b`,
		Args:    exactArgs(1, "one DIR"),
	}
	cmd.Flags().BoolVar(&o.AllowOlder, "allow-older", false, "install although a newer bundle of that name was here")
	return storeCommand(cmd, func(c *cobra.Command, s *store.Store, args []string) error {
		i, err := install(c.Context(), c.ErrOrStderr(), s, args[0], o)
		if err != nil {
			return err
		}
		out := c.OutOrStdout()
		if i.State == store.Quarantined {
			fmt.Fprintf(out, "%s is in quarantine: %s\nif you know better: lineside model override %s --reason …\n", i.Manifest.Name, i.Why, i.ID[:12])
			return nil
		}
		fmt.Fprintf(out, "%s is installed as %s\n", i.Manifest.Name, i.ID[:12])
		if err := s.Gate(i); errors.Is(err, licence.ErrRefused) {
			fmt.Fprintf(out, "before it runs: %v\n", err)
		}
		return nil
	})
}

// install shows a bar while it copies.
func install(ctx context.Context, stderr io.Writer, s *store.Store, src string, o store.InstallOptions) (store.Item, error) {
	bar, done := progress(stderr, "installing", 1)
	defer done()
	last := int64(0)
	o.Progress = func(n, total int64) {
		if b, ok := bar.(interface{ ChangeMax64(int64) }); ok {
			b.ChangeMax64(total)
		}
		advance(bar, n-last)
		last = n
	}
	return s.Install(ctx, src, o)
}

func modelListCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List installed models", Args: exactArgs(0, "no arguments")}
	asJSON := jsonFlag(cmd)
	return storeCommand(cmd, func(c *cobra.Command, s *store.Store, _ []string) error {
		list, err := s.List()
		if err != nil {
			return err
		}
		if *asJSON {
			if list == nil {
				list = []store.Item{}
			}
			return printJSON(c.OutOrStdout(), list)
		}
		rows := [][]string{{"MODEL", "STATE", "SIZE", "LICENCE", "QUANT", "ID", "VERIFIED"}}
		for _, i := range list {
			verified := "never"
			if !i.Verified.IsZero() {
				verified = i.Verified.Format(time.DateOnly)
			}
			state := string(i.State)
			if i.Fallback {
				state += ", fallback"
			}
			rows = append(rows, []string{i.Manifest.Name, state, fit.Size(uint64(i.Manifest.Bytes())), string(i.Manifest.Licence),
				i.Manifest.Facts.Quantization, i.ID[:min(12, len(i.ID))], verified})
		}
		if err := table(c.OutOrStdout(), rows); err != nil {
			return err
		}
		for _, i := range list {
			if i.Why != "" {
				fmt.Fprintf(c.OutOrStdout(), "%s: %s\n", i.Manifest.Name, i.Why)
			}
		}
		return nil
	})
}

func modelVerifyCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "verify [NAME]", Short: "Read installed models and compare every hash", Args: cobra.MaximumNArgs(1),
		Example: "  lineside model verify\n  lineside model verify Llama-3.2-1B-Instruct-Q4_0"}
	return storeCommand(cmd, func(c *cobra.Command, s *store.Store, args []string) error {
		list, err := s.List()
		if err != nil {
			return err
		}
		if len(args) == 1 {
			i, err := s.Find(args[0])
			if err != nil {
				return err
			}
			list = []store.Item{i}
		}
		var bad []error
		for _, i := range list {
			bar, done := progress(c.ErrOrStderr(), "reading "+i.Manifest.Name, i.Manifest.Bytes())
			last := int64(0)
			_, err := s.Verify(c.Context(), i.ID, func(n, _ int64) { advance(bar, n-last); last = n })
			done()
			if err != nil {
				bad = append(bad, err)
				continue
			}
			fmt.Fprintf(c.OutOrStdout(), "%s is sound\n", i.Manifest.Name)
		}
		return errors.Join(bad...)
	})
}

// swap makes a model the one that runs: by itself where no daemon runs, else it
// asks the daemon and waits for what comes of it.
func swap(c *cobra.Command, s *store.Store, name string, wait time.Duration) error {
	if !s.Served() {
		i, err := s.Activate(name)
		if err == nil {
			fmt.Fprintf(c.OutOrStdout(), "%s runs from the next start of the engine: sudo systemctl restart lineside-engine linesided\n", i.Manifest.Name)
		}
		return err
	}
	i, err := s.Propose(name)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.ErrOrStderr(), "the daemon changes to %s\n", i.Manifest.Name)
	ctx, cancel := context.WithTimeout(c.Context(), wait)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("the daemon has not changed to %s within %s: see its log", i.Manifest.Name, wait)
		case <-tick.C:
		}
		if _, err := s.Proposed(); !errors.Is(err, store.ErrNoModel) {
			if err != nil {
				return err
			}
			continue
		}
		last, err := s.LastSwap()
		switch {
		case err != nil:
			return err
		case last == nil || last.ID != i.ID:
			return fmt.Errorf("another change of model came between")
		case !last.OK:
			return fmt.Errorf("the model stays as it was: %s", last.Why)
		}
		fmt.Fprintf(c.OutOrStdout(), "%s runs\n", i.Manifest.Name)
		return nil
	}
}

func modelActivateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "activate NAME",
		Short: "Make an installed model the one that runs",
		Long: `Changes to a model whose licence this site has accepted. Where the daemon runs, it
loads the model, asks it a warm-up question, and stays with the old one when no
answer comes. Asks go on meanwhile where the board has memory for both models, else
they wait.`,
		Example: `  lineside model activate Llama-3.2-1B-Instruct-Q4_0
  lineside model activate Llama-3.2-1B-Instruct-Q4_0 --fallback   # the smaller one, for hard times`,
		Args: exactArgs(1, "one NAME"),
	}
	fallback := cmd.Flags().Bool("fallback", false, "keep it as the smaller model for hard times instead")
	wait := cmd.Flags().Duration("wait", 5*time.Minute, "how long to wait for the daemon")
	return storeCommand(cmd, func(c *cobra.Command, s *store.Store, args []string) error {
		if !*fallback {
			return swap(c, s, args[0], *wait)
		}
		if err := s.SetFallback(args[0]); err != nil {
			return err
		}
		fmt.Fprintf(c.OutOrStdout(), "%s is the fallback\n", args[0])
		return nil
	})
}

func modelRollbackCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "rollback", Short: "Go back to the model that ran before", Args: exactArgs(0, "no arguments")}
	wait := cmd.Flags().Duration("wait", 5*time.Minute, "how long to wait for the daemon")
	return storeCommand(cmd, func(c *cobra.Command, s *store.Store, _ []string) error {
		i, err := s.Former()
		if err != nil {
			return err
		}
		return swap(c, s, i.ID, *wait)
	})
}

func modelRemoveCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "remove NAME", Short: "Remove an installed model that does not run", Args: exactArgs(1, "one NAME")}
	return storeCommand(cmd, func(c *cobra.Command, s *store.Store, args []string) error {
		i, err := s.Remove(args[0])
		if err == nil {
			fmt.Fprintf(c.OutOrStdout(), "%s is removed\n", i.Manifest.Name)
		}
		return err
	})
}

func modelOverrideCommand() *cobra.Command {
	var o bundle.Override
	cmd := &cobra.Command{Use: "override NAME", Short: "Let a model out of quarantine, with a reason that is recorded", Args: exactArgs(1, "one NAME"),
		Example: `  lineside model override 3f2a91c07be1 --reason "our own training, see DOC-114"`}
	cmd.Flags().StringVar(&o.Reason, "reason", "", "why it may run")
	cmd.Flags().StringVar(&o.By, "by", person(), "who says so")
	return storeCommand(cmd, func(c *cobra.Command, s *store.Store, args []string) error {
		i, err := s.Override(args[0], o)
		if err == nil {
			fmt.Fprintf(c.OutOrStdout(), "%s is out of quarantine\n", i.Manifest.Name)
		}
		return err
	})
}
