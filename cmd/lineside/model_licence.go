package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lineside/inference/model/bundle"
	"lineside/inference/model/fit"
	"lineside/inference/model/licence"
	"lineside/inference/model/store"
)

func modelAcceptCommand() *cobra.Command {
	var a licence.Acceptance
	var classes []string
	cmd := &cobra.Command{
		Use:   "accept LICENCE",
		Short: "Record that this site accepts a model's licence",
		Long: `Records who accepts which text, where, and for which uses. A licence's grant does
not pass on: the company that uses the model accepts it itself. Read the text first:
lineside model licences --text LICENCE.

Use classes: lookup, summary, draft, classify, translate, general, instruct,
machine-operation, safety-function, worker-scoring, person-data, professional-advice.`,
		Example: `  lineside model accept llama3.2 --entity "Werk GmbH" --country DE --eu-seat --class lookup --class summary --users 0 --yes`,
		Args:    exactArgs(1, "one LICENCE"),
	}
	f := cmd.Flags()
	f.StringVar(&a.Entity, "entity", "", "company, as registered")
	f.StringVar(&a.Country, "country", "", "country of its seat, two letters")
	f.BoolVar(&a.EUSeat, "eu-seat", false, "its seat or main place of business is in the EU")
	f.StringArrayVar(&classes, "class", nil, "what the model is used for; may be given again")
	f.Uint64Var(&a.Users, "users", 0, "monthly users of all its products in the month before the version's release")
	f.BoolVar(&a.Military, "military", false, "military, nuclear or export-controlled business")
	f.BoolVar(&a.Weapons, "weapons", false, "weapons business")
	f.BoolVar(&a.Drugs, "drugs", false, "controlled substances")
	f.BoolVar(&a.Infrastructure, "infrastructure", false, "critical infrastructure: power, water, rail and the like")
	f.StringVar(&a.Reason, "reason", "", "counsel's reason, for critical infrastructure")
	f.StringVar(&a.By, "by", person(), "who accepts")
	yes := f.Bool("yes", false, "I have read the text and accept it for the company")
	return storeCommand(cmd, func(c *cobra.Command, s *store.Store, args []string) error {
		a.Licence = licence.ID(args[0])
		for _, name := range classes {
			class, err := licence.ParseClass(name)
			if err != nil {
				return fmt.Errorf("%w: %w", errUsage, err)
			}
			a.Classes = append(a.Classes, class)
		}
		if !*yes {
			return fmt.Errorf("read the text with lineside model licences --text %s, then give --yes", a.Licence)
		}
		if err := s.Accept(a); err != nil {
			return err
		}
		fmt.Fprintf(c.OutOrStdout(), "%s is accepted for %s by %s\n", a.Licence, a.Entity, a.By)
		return nil
	})
}

func modelExceptCommand() *cobra.Command {
	var e licence.Exception
	cmd := &cobra.Command{
		Use:     "except LICENCE CLASS",
		Short:   "Allow a use class under a licence, with a reason that is recorded",
		Long:    "Allows what only caution forbids. What a licence's policy itself forbids stays forbidden.",
		Example: `  lineside model except apache-2.0 instruct --reason "safety officer, 2026-11-02"`,
		Args:    exactArgs(2, "LICENCE and CLASS"),
	}
	cmd.Flags().StringVar(&e.Reason, "reason", "", "why")
	cmd.Flags().StringVar(&e.By, "by", person(), "who says so")
	return storeCommand(cmd, func(c *cobra.Command, s *store.Store, args []string) error {
		e.Licence, e.Class = licence.ID(args[0]), licence.Class(args[1])
		if err := s.Except(e); err != nil {
			return err
		}
		fmt.Fprintf(c.OutOrStdout(), "%s under %s is excepted\n", e.Class, e.Licence)
		return nil
	})
}

func modelLicencesCommand() *cobra.Command {
	var text, export string
	cmd := &cobra.Command{
		Use:   "licences",
		Short: "Show which licences hold here, what they ask for, and why",
		Example: `  lineside model licences
  lineside model licences --text llama3.2
  lineside model licences --export evidence.json`,
		Args: exactArgs(0, "no arguments"),
	}
	cmd.Flags().StringVar(&text, "text", "", "print the texts of this `LICENCE` as they lie beside the model")
	cmd.Flags().StringVar(&export, "export", "", "write the evidence for an auditor to `FILE`")
	asJSON := jsonFlag(cmd)
	return storeCommand(cmd, func(c *cobra.Command, s *store.Store, _ []string) error {
		out := c.OutOrStdout()
		if text != "" {
			return printTexts(out, s, licence.ID(text))
		}
		e, err := s.Evidence()
		if err != nil {
			return err
		}
		if export != "" {
			f, err := os.Create(export)
			if err != nil {
				return err
			}
			if err := printJSON(f, e); err != nil {
				f.Close()
				return err
			}
			fmt.Fprintf(out, "evidence is in %s\n", export)
			return f.Close()
		}
		if *asJSON {
			return printJSON(out, e)
		}
		return printEvidence(out, e)
	})
}

// printTexts prints agreement, policy and notice of the first model under a licence.
func printTexts(w io.Writer, s *store.Store, id licence.ID) error {
	list, err := s.List()
	if err != nil {
		return err
	}
	for _, i := range list {
		if i.Manifest.Licence != id {
			continue
		}
		for _, role := range []bundle.Role{bundle.Licence, bundle.Policy, bundle.Notice} {
			f, ok := i.Manifest.File(role)
			if !ok {
				continue
			}
			b, err := os.ReadFile(filepath.Join(i.Dir(), f.Name))
			if err != nil {
				return err
			}
			fmt.Fprintf(w, "──── %s ────\n%s\n", f.Name, b)
		}
		return nil
	}
	return fmt.Errorf("no installed model comes under licence %q", id)
}

func printEvidence(w io.Writer, e store.Evidence) error {
	if len(e.Models) == 0 {
		fmt.Fprintln(w, "no model is installed")
	}
	for _, m := range e.Models {
		says := "may run"
		if !m.MayRun {
			says = "may not run: " + m.Gate
		}
		fmt.Fprintf(w, "%s (%s, licence %s): %s\n", m.Manifest.Name, m.State, m.Manifest.Licence, says)
		if m.Override != nil {
			fmt.Fprintf(w, "  overridden by %s on %s: %s\n", m.Override.By, m.Override.Date, m.Override.Reason)
		}
		var allowed []string
		for _, c := range licence.Classes() {
			if m.Uses[c] == "allowed" {
				allowed = append(allowed, string(c))
			}
		}
		fmt.Fprintf(w, "  uses allowed: %s\n", orNone(strings.Join(allowed, ", ")))
	}
	for _, d := range e.Duties {
		fmt.Fprintf(w, "\n%s (%s)\n", d.Title, d.SPDX)
		if d.Display != "" {
			fmt.Fprintf(w, "  show %q prominently (%s)\n", d.Display, d.DisplayBy)
		}
		if d.CopyClause != "" {
			fmt.Fprintf(w, "  give a copy of it with every copy of the model (%s)\n", d.CopyClause)
		}
		if d.Notice != "" {
			fmt.Fprintf(w, "  keep the notice (%s): %s\n", d.NoticeBy, d.Notice)
		}
		if d.NamePrefix != "" {
			fmt.Fprintf(w, "  begin names of derived models with %q (%s)\n", d.NamePrefix, d.DisplayBy)
		}
		if d.NoTraining != "" {
			fmt.Fprintf(w, "  do not improve other models with it or its answers (%s)\n", d.NoTraining)
		}
		if d.EUExclusion {
			fmt.Fprintln(w, "  its policy withholds multimodal models from companies seated in the EU")
		}
		if a, ok := e.Site.Acceptances[d.ID]; ok {
			fmt.Fprintf(w, "  accepted for %s (%s) by %s on %s, text %.12s…\n", a.Entity, a.Country, a.By, a.Date, a.TextHash)
		} else if d.Acceptance {
			fmt.Fprintf(w, "  not accepted: lineside model accept %s\n", d.ID)
		}
	}
	for _, x := range e.Site.Exceptions {
		fmt.Fprintf(w, "\nexcepted by %s on %s: %s under %s: %s\n", x.By, x.Date, x.Class, x.Licence, x.Reason)
	}
	for _, r := range e.Receipts {
		fmt.Fprintf(w, "\npurged %s on %s by %s, %d removed: %s\n", r.Licence, r.Completed.Format(time.DateOnly), r.By, len(r.Removed), r.Reason)
	}
	return nil
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

func modelPurgeCommand() *cobra.Command {
	var id, by, reason string
	cmd := &cobra.Command{
		Use:   "purge",
		Short: "Remove everything under a licence, and keep a receipt",
		Long: `Removes every model under a licence, running or not, with half-copied bundles and
the acceptance. What a licence asks for when it ends.`,
		Example: `  lineside model purge --licence llama3.2 --reason "agreement terminated, letter of 2026-11-02"`,
		Args:    exactArgs(0, "no arguments but flags"),
	}
	cmd.Flags().StringVar(&id, "licence", "", "which `LICENCE`")
	cmd.Flags().StringVar(&reason, "reason", "", "why")
	cmd.Flags().StringVar(&by, "by", person(), "who orders it")
	asJSON := jsonFlag(cmd)
	return storeCommand(cmd, func(c *cobra.Command, s *store.Store, _ []string) error {
		if id == "" {
			return fmt.Errorf("%w: --licence is missing", errUsage)
		}
		r, err := s.Purge(licence.ID(id), by, reason)
		if err != nil {
			return err
		}
		if *asJSON {
			return printJSON(c.OutOrStdout(), r)
		}
		for _, x := range r.Removed {
			fmt.Fprintf(c.OutOrStdout(), "purged %s, %s, weights %s\n", x.Name, fit.Size(uint64(x.Bytes)), x.Weights)
		}
		fmt.Fprintf(c.OutOrStdout(), "nothing under %s is left, %d removed: the receipt is in the store\n", r.Licence, len(r.Removed))
		return nil
	})
}
