package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lineside/daemon/config"
	"lineside/inference"
	models "lineside/inference/model/store"
	"lineside/systemd/walls"
)

const (
	healthAgain = 2 * time.Second // between two looks with --wait
	healthAsk   = 2 * time.Minute // that one answer may take: a model may still be loading
)

func healthCommand() *cobra.Command {
	file, wait := config.Default, false
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Say whether the appliance works: the daemon is ready and the model answers",
		Long: `Ends with 0 where linesided is ready and the model has answered an ask, else with 1 and the
reason. A board without a model is well too: there is nothing to ask. With --wait it looks
again until all is well; lineside-health.service does so in front of boot-complete.target.`,
		Args:    cobra.NoArgs,
		Example: "  sudo lineside health\n  sudo lineside health --wait",
	}
	cmd.Flags().StringVar(&file, "config", file, "configuration `file`")
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until all is well")
	cmd.RunE = func(c *cobra.Command, _ []string) error {
		said := ""
		for {
			word, err := healthy(c.Context(), file)
			if err == nil {
				fmt.Fprintln(c.OutOrStdout(), word)
				return nil
			}
			if !wait {
				return err
			}
			if err.Error() != said {
				said = err.Error()
				fmt.Fprintln(c.ErrOrStderr(), "not yet:", said)
			}
			select {
			case <-c.Context().Done():
				return err
			case <-time.After(healthAgain):
			}
		}
	}
	return cmd
}

// healthy asks systemd for the daemon, and the engine for an answer of one token.
func healthy(ctx context.Context, file string) (string, error) {
	c, err := config.Load(file)
	if err != nil {
		return "", err
	}
	out, err := exec.CommandContext(ctx, "systemctl", "show", "--property=ActiveState,StatusText", walls.Daemon).Output()
	if err != nil {
		return "", fmt.Errorf("systemctl show %s: %w", walls.Daemon, err)
	}
	said := map[string]string{}
	for line := range strings.Lines(string(out)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		said[key] = value
	}
	if said["ActiveState"] != "active" {
		return "", fmt.Errorf("linesided is %s %s", said["ActiveState"], said["StatusText"])
	}
	if c.Engine.Model == "" {
		if _, err := os.Stat(filepath.Join(c.Licence.Dir, models.ActiveLink)); errors.Is(err, fs.ErrNotExist) {
			return "well: linesided is ready; no model is installed yet (lineside model --help)", nil
		}
	}
	client, err := inference.NewClient(c.Engine.Socket)
	if err != nil {
		return "", err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, healthAsk)
	defer cancel()
	start := time.Now()
	r := &inference.Request{Messages: []inference.Message{{Role: inference.RoleUser, Content: "Hello"}}, MaxTokens: 1}
	if _, err := client.Generate(ctx, r, func(string) error { return nil }); err != nil {
		return "", fmt.Errorf("the model gives no answer: %w", err)
	}
	return fmt.Sprintf("well: linesided is ready, the model answered within %d ms", time.Since(start).Milliseconds()), nil
}
