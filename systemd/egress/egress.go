// Package egress tries to get data off the board by every way that a program has, and
// says which of them were stopped. A Sink stands outside the walls and counts what arrives, so
// that "stopped" is never taken for granted: the same attempts, made by a process without
// walls, must arrive.
//
// It sends nothing to the network: its sinks are addresses of documentation (RFC 5737, RFC 3849)
// that stand on the board's own loopback device for as long as it runs.
package egress

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// The sinks' addresses. No plant has them.
const (
	Sink4 = "198.51.100.77"
	Sink6 = "2001:db8:1d::77"
)

// Plan is what a probe is told: where the sinks are, and the token that its packets carry.
type Plan struct {
	TCP4, TCP6, UDP4, UDP6, DNS string   // host:port; empty: there is no such sink
	Unix                        string   // socket of a listener
	Token                       string   // what arrives, to tell runs apart
	Prefix                      string   // of the ways: "child-" in a child
	Secrets                     []string // files that must not be readable
	Devices                     []string // device nodes that must not open
	Writable                    []string // folders where a program could be put to run it
	Sockets                     []string // of other programs: D-Bus, resolved and so on
	Child                       bool     // also have a child try
	Packets                     bool     // nothing but what sends to a sink
}

// Outcomes of an attempt.
const (
	Stopped = "stopped"
	Reached = "reached"
)

// Attempt is one way that was tried.
type Attempt struct {
	Way    string `json:"way"`    // "tcp4", "dns", "child" and so on
	Target string `json:"target"` // where to
	State  string `json:"state"`  // Stopped or Reached
	By     string `json:"by"`     // what stopped it, or what came of it
	Sink   bool   `json:"sink"`   // somebody stands there and counts what arrives
}

// Run is all attempts of one process.
type Run struct {
	Unit     string    `json:"unit"`          // whose user and sandbox; empty: none
	Walls    string    `json:"walls"`         // which of its walls stood
	Want     string    `json:"want"`          // Stopped, or Reached for the control
	Attempts []Attempt `json:"attempts"`      //
	Arrived  []string  `json:"arrived"`       // ways whose token a sink saw
	Err      string    `json:"err,omitempty"` // why it could not be tried
}

// Bad are the attempts that did not end as they must, in words.
func (r Run) Bad() (all []string) {
	if r.Err != "" {
		return []string{r.Err}
	}
	if len(r.Attempts) == 0 {
		return []string{"nothing was tried"}
	}
	arrived := map[string]bool{}
	for _, a := range r.Arrived {
		arrived[a] = true
	}
	for _, a := range r.Attempts {
		switch {
		case r.Want == Reached && a.Sink && !arrived[a.Way]:
			all = append(all, fmt.Sprintf("%s: without any wall it did not arrive at %s, so nothing is proven: %s", a.Way, a.Target, a.By))
		case r.Want == Stopped && (a.State == Reached || arrived[a.Way]):
			all = append(all, fmt.Sprintf("%s: %s was reached: %s", a.Way, a.Target, a.By))
		}
	}
	return all
}

// Report is for the owner's file.
type Report struct {
	Board   string            `json:"board"`
	At      time.Time         `json:"at"`
	Version string            `json:"version"`
	Kernel  string            `json:"kernel"`
	Systemd string            `json:"systemd"`
	Files   map[string]string `json:"files"` // sha256 of programs and of units as systemd sees them
	Allowed []string          `json:"allowed"`
	Runs    []Run             `json:"runs"`
	Good    bool              `json:"good"`
	SHA256  string            `json:"sha256"` // of this report as JSON with an empty sha256
}

// Seal judges the runs and hashes the report.
func (r *Report) Seal() error {
	r.Good = len(r.Runs) > 0
	for _, run := range r.Runs {
		r.Good = r.Good && len(run.Bad()) == 0
	}
	sum, err := r.sum()
	r.SHA256 = sum
	return err
}

func (r Report) sum() (string, error) {
	r.SHA256 = ""
	data, err := json.Marshal(r)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), nil
}

// Verify reports whether the report is as it was sealed.
func (r Report) Verify() error {
	sum, err := r.sum()
	if err != nil {
		return err
	}
	if sum != r.SHA256 {
		return fmt.Errorf("the report was changed: its sha256 is %s, it says %s", sum, r.SHA256)
	}
	return nil
}

// Write prints the report for people.
func (r Report) Write(w io.Writer) {
	fmt.Fprintf(w, "Egress report of %s, %s\nlineside %s, systemd %s, Linux %s\n", r.Board, r.At.Format(time.RFC3339), r.Version, r.Systemd, r.Kernel)
	fmt.Fprintf(w, "linesided may exchange packets with: %s\n", strings.Join(r.Allowed, ", "))
	for _, run := range r.Runs {
		who := run.Unit
		if who == "" {
			who = "a process without walls"
		}
		bad := run.Bad()
		verdict := "ok  "
		if len(bad) > 0 {
			verdict = "FAIL"
		}
		fmt.Fprintf(w, "\n%s  %s, %s: everything must be %s\n", verdict, who, run.Walls, run.Want)
		for _, a := range run.Attempts {
			fmt.Fprintf(w, "      %-8s %-10s %-44s %s\n", a.State, a.Way, a.Target, a.By)
		}
		for _, b := range bad {
			fmt.Fprintf(w, "      FAIL %s\n", b)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Files)) {
		fmt.Fprintf(w, "\nsha256 %s  %s", r.Files[name], name)
	}
	verdict := "NOTHING LEAVES: every way was stopped by every wall."
	if !r.Good {
		verdict = "NOT PROVEN: read the lines with FAIL."
	}
	fmt.Fprintf(w, "\n\n%s\nsha256 of this report: %s\n", verdict, r.SHA256)
}

// Command is the hidden command of `lineside` that runs a probe: its argument is a Plan as
// JSON, its output the attempts as JSON.
const Command = "egress-probe"
