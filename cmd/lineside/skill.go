package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"lineside/daemon/config"
	"lineside/daemon/skill"
	"lineside/mqtt"
)

func skillCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "skill",
		Short: "Check and try stored questions",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	cmd.AddCommand(skillListCommand(), skillTestCommand())
	return cmd
}

func skillListCommand() *cobra.Command {
	dir, asJSON := config.Defaults().Skills.Dir, false
	cmd := &cobra.Command{
		Use: "list", Short: "List the skills of a folder", Args: cobra.NoArgs,
		Example: "  lineside skill list --dir ./skills",
		RunE: func(c *cobra.Command, _ []string) error {
			return listSkills(dir, asJSON, c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	cmd.Flags().StringVar(&dir, "dir", dir, "the `folder`")
	cmd.Flags().BoolVar(&asJSON, "json", false, "for programs")
	return cmd
}

func listSkills(dir string, asJSON bool, out, errOut io.Writer) error {
	l := skill.NewLibrary(dir)
	c, err := l.Scan()
	if err != nil {
		return err
	}
	type row struct {
		Name      string   `json:"name"`
		Version   int      `json:"version"`
		About     string   `json:"about"`
		Languages []string `json:"languages"`
		Priority  int      `json:"priority"`
		UseClass  string   `json:"use_class"`
		SHA256    string   `json:"sha256"`
	}
	rows := []row{}
	for _, s := range l.All() {
		rows = append(rows, row{s.Name, s.Version, s.About, s.Languages, s.Priority, string(s.UseClass), s.Hash()})
	}
	if asJSON {
		err = printJSON(out, rows)
	} else {
		w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
		fmt.Fprintln(w, "SKILL\tVERSION\tPRIORITY\tUSE\tLANGUAGES\tABOUT")
		for _, r := range rows {
			fmt.Fprintf(w, "%s\t%d\t%d\t%s\t%s\t%s\n", r.Name, r.Version, r.Priority, r.UseClass, strings.Join(r.Languages, ","), r.About)
		}
		err = w.Flush()
	}
	for _, bad := range c.Bad {
		fmt.Fprintln(errOut, bad)
	}
	if len(c.Bad) > 0 {
		return errors.Join(err, fmt.Errorf("%d of the files in %s are refused", len(c.Bad), dir))
	}
	return err
}

func skillTestCommand() *cobra.Command {
	var f askFlags
	ask := false
	cmd := &cobra.Command{
		Use:   "test FILE...",
		Short: "Check skill files and try their examples",
		Long: `Check skill files and try their examples. Without --ask the arguments and the canned
answers are checked here; with it, every example is asked for real of a board that has the skill.`,
		Example: `  lineside skill test /etc/lineside/skills/*.toml
  lineside skill test --ask --board b03 alarm.toml`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, files []string) error {
			if ask {
				if err := f.find(c.Context()); err != nil {
					return err
				}
			}
			failed := 0
			for _, file := range files {
				if !testSkill(c.Context(), file, &f, ask, c.OutOrStdout()) {
					failed++
				}
			}
			if failed > 0 {
				return fmt.Errorf("%d of %d skill files failed", failed, len(files))
			}
			return nil
		},
	}
	f.register(cmd)
	cmd.Flags().BoolVar(&ask, "ask", false, "ask a board for real")
	cmd.Flags().DurationVar(&f.deadline, "deadline", time.Minute, "give up on one example after this time")
	return cmd
}

// testSkill prints what it finds of one file and reports success.
func testSkill(ctx context.Context, file string, f *askFlags, ask bool, out io.Writer) bool {
	s, err := skill.Load(file)
	if err != nil {
		fmt.Fprintf(out, "FAIL  %v\n", err)
		return false
	}
	good := true
	for i, e := range s.Examples {
		start := time.Now()
		got, err := tryExample(ctx, s, e, f, ask)
		if err != nil {
			good = false
			fmt.Fprintf(out, "FAIL  %s example %d: %v\n", s.Ref(), i+1, err)
			continue
		}
		if ask {
			fmt.Fprintf(out, "ok    %s example %d in %s: %s\n", s.Ref(), i+1, time.Since(start).Round(time.Millisecond), got)
		}
	}
	if good {
		fmt.Fprintf(out, "ok    %s: %d examples\n", s.Ref(), len(s.Examples))
	}
	return good
}

// tryExample answers one example, here or at a board, and checks the answer.
func tryExample(ctx context.Context, s *skill.Skill, e skill.Example, f *askFlags, ask bool) (string, error) {
	applied, err := s.Apply(e.Args, e.Lang)
	if err != nil {
		return "", err
	}
	var a mqtt.Answer
	switch {
	case ask:
		id := newID()
		payload, err := json.Marshal(mqtt.Ask{ID: id, Args: e.Args, Lang: e.Lang, DeadlineMS: f.deadline.Milliseconds()})
		if err != nil {
			return "", err
		}
		f.skill = s.Name
		if a, _, err = f.ask(ctx, id, payload, &screen{out: io.Discard, err: io.Discard, quiet: true}); err != nil {
			return "", err
		}
		if a.Code != mqtt.OK {
			return "", refusal(a)
		}
	case applied.Canned != nil:
		a.Text, a.Data = applied.Canned.Text, applied.Canned.Data
	default:
		return "", nil // only a board can say more
	}
	whole := a.Text + string(a.Data)
	for _, want := range e.Contains {
		if !strings.Contains(strings.ToLower(whole), strings.ToLower(want)) {
			return whole, fmt.Errorf("the answer lacks %q: %s", want, whole)
		}
	}
	if e.Canned && a.Model != "" {
		return whole, errors.New("the model was asked, but the answer should be canned: does the board have this version of the file?")
	}
	if len(bytes.TrimSpace(a.Data)) > 0 {
		return whole, s.Check(a.Data)
	}
	return whole, nil
}
