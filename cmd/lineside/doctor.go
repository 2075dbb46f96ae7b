package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"lineside/daemon/audit"
	"lineside/daemon/config"
	"lineside/daemon/skill"
	"lineside/hw"
	"lineside/inference"
	"lineside/inference/model/gguf"
	"lineside/mqtt"
	"lineside/mqtt/wire"
)

// Findings, mildest first.
const (
	fine = "ok"
	warn = "warn"
	bad  = "FAIL"
)

// finding is one thing that doctor looked at.
type finding struct {
	Part  string `json:"part"`
	State string `json:"state"` // ok, warn or FAIL
	Text  string `json:"text"`
	Do    string `json:"do,omitempty"` // the next step, where something is wrong
}

func doctorCommand() *cobra.Command {
	file, asJSON, leave, save := config.Default, false, false, ""
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Find out what is wrong with this board, and what to do",
		Args:  cobra.NoArgs,
		Example: `  sudo lineside doctor
  lineside doctor --config ./lineside.toml --json
  sudo lineside doctor --egress -o report.json    # try to leave the board by every way`,
		RunE: func(c *cobra.Command, _ []string) error {
			if leave {
				return doctorEgress(c, file, save, asJSON)
			}
			all := examine(c.Context(), file)
			if asJSON {
				if err := printJSON(c.OutOrStdout(), all); err != nil {
					return err
				}
			} else {
				report(c.OutOrStdout(), all)
			}
			n := 0
			for _, f := range all {
				if f.State == bad {
					n++
				}
			}
			if n > 0 {
				return fmt.Errorf("%d things are wrong", n)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&file, "config", file, "configuration `file`")
	cmd.Flags().BoolVar(&asJSON, "json", false, "for programs")
	cmd.Flags().BoolVar(&leave, "egress", false, "try to leave the board by every way, as each service's own user and sandbox")
	cmd.Flags().StringVarP(&save, "output", "o", "", "with --egress: also write the report as JSON to this `file`")
	return cmd
}

func report(w io.Writer, all []finding) {
	for _, f := range all {
		fmt.Fprintf(w, "%-5s %-9s %s\n", f.State, f.Part, f.Text)
		if f.Do != "" {
			fmt.Fprintf(w, "      %-9s → %s\n", "", f.Do)
		}
	}
}

// examine looks at everything; each part only where the ones it needs are good.
func examine(ctx context.Context, file string) []finding {
	c, err := config.Load(file)
	if err != nil {
		return []finding{{"config", bad, err.Error(), "mend the file and try it: linesided --config " + file + " --check"}}
	}
	all := []finding{{"config", fine, file, ""}}
	all = append(all, checkSecrets(c)...)
	all = append(all, checkFolders(c)...)
	all = append(all, checkSkills(c), checkModel(c), checkEngine(ctx, c))
	all = append(all, checkBroker(ctx, c)...)
	all = append(all, checkHardware(c)...)
	return all
}

// checkSecrets wants files with secrets readable, and by nobody else.
func checkSecrets(c config.Config) (all []finding) {
	for _, secret := range [][2]string{
		{"mqtt.password_file", c.MQTT.PasswordFile}, {"mqtt.key_file", c.MQTT.KeyFile}, {"mqtt.embedded_key_file", c.MQTT.EmbeddedKeyFile},
	} {
		key, path := secret[0], secret[1]
		if path == "" {
			continue
		}
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			all = append(all, finding{"secrets", bad, key + ": " + path + " does not exist", "make the file, or mend the key in the configuration"})
		case err != nil:
			all = append(all, finding{"secrets", bad, key + ": " + err.Error(), "run doctor as root, or as linesided's user"})
		case info.Mode().Perm()&0o007 != 0:
			all = append(all, finding{"secrets", warn, fmt.Sprintf("%s: anyone on this board can read %s", key, path), "chmod o= " + path})
		default:
			all = append(all, finding{"secrets", fine, key, ""})
		}
	}
	return all
}

// lowSpace is how little free space worries.
const lowSpace = 256 << 20

func checkFolders(c config.Config) (all []finding) {
	for _, folder := range [][2]string{{"store", c.Store.Dir}, {"audit", c.Audit.Dir}} {
		part, dir := folder[0], folder[1]
		if dir == "" {
			continue
		}
		var s unix.Statfs_t
		if err := unix.Statfs(dir, &s); err != nil {
			state, do := bad, "the service makes it at its start; else: install -d -o lineside "+dir
			if errors.Is(err, fs.ErrNotExist) {
				state = warn
			}
			all = append(all, finding{part, state, fmt.Sprintf("%s: %v", dir, err), do})
			continue
		}
		free := int64(s.Bavail) * s.Bsize
		switch {
		case free < lowSpace:
			all = append(all, finding{part, warn, fmt.Sprintf("%s: only %d MB are free", dir, free>>20), "remove old models (lineside model list) or lower audit.max_bytes"})
		case part == "audit":
			all = append(all, checkAudit(dir))
		default:
			all = append(all, finding{part, fine, fmt.Sprintf("%s, %d MB free", dir, free>>20), ""})
		}
	}
	return all
}

func checkAudit(dir string) finding {
	r, err := audit.Read(dir, nil)
	if err != nil {
		return finding{"audit", bad, err.Error(), "keep a copy of " + dir + " and find out who changed it: lineside audit verify"}
	}
	return finding{"audit", fine, fmt.Sprintf("%d lines, the chain holds", r.Lines), ""}
}

func checkSkills(c config.Config) finding {
	l := skill.NewLibrary(c.Skills.Dir)
	change, err := l.Scan()
	switch {
	case err != nil:
		return finding{"skills", bad, err.Error(), "give linesided's user the right to read " + c.Skills.Dir}
	case len(change.Bad) > 0:
		return finding{"skills", bad, errors.Join(change.Bad...).Error(), "mend the file and try it: lineside skill test FILE"}
	}
	return finding{"skills", fine, fmt.Sprintf("%d in %s", len(l.All()), c.Skills.Dir), ""}
}

func checkModel(c config.Config) finding {
	path := c.Engine.Model
	if path == "" {
		return finding{"model", fine, "not named here: systemd's unit of the engine names it", ""}
	}
	if err := gguf.Check(path); err != nil {
		return finding{"model", bad, err.Error(), "copy the file again, or install another: lineside model install FILE"}
	}
	return finding{"model", fine, path, ""}
}

func checkEngine(ctx context.Context, c config.Config) finding {
	if c.Engine.Spawn {
		if _, err := exec.LookPath(c.Engine.Program); err != nil {
			return finding{"engine", bad, err.Error(), "install lineside-engine, or name it in engine.program"}
		}
	}
	client, err := inference.NewClient(c.Engine.Socket)
	if err != nil {
		return finding{"engine", bad, err.Error(), "mend engine.socket"}
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	h, err := client.Health(ctx)
	start := "systemctl status lineside-engine; journalctl -u lineside-engine -n 20"
	if c.Engine.Spawn {
		start = "systemctl status linesided; journalctl -u linesided -n 20"
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		return finding{"engine", warn, "this user may not use " + c.Engine.Socket, "run doctor as root"}
	case err != nil:
		return finding{"engine", bad, "no engine answers at " + c.Engine.Socket, start}
	case h.State == "loading":
		return finding{"engine", warn, fmt.Sprintf("loading the model, %.0f%%", h.Progress*100), "wait"}
	case h.State == "failed":
		return finding{"engine", bad, h.Why, "lineside model verify; then install a good file"}
	}
	return finding{"engine", fine, fmt.Sprintf("%s, %d slots, %d tokens of context", h.Model, h.Slots, h.Context), ""}
}

// checkBroker connects as the board would, under another client id, and looks at
// what the board says of itself.
func checkBroker(ctx context.Context, c config.Config) []finding {
	id := c.Board.ID
	if id == "" {
		host, _ := os.Hostname()
		id, _, _ = strings.Cut(host, ".")
	}
	b := brokerFlags{
		url: c.MQTT.URL, version: c.MQTT.Version, username: c.MQTT.Username, passwordFile: c.MQTT.PasswordFile,
		tls:    wire.TLS{CAFile: c.MQTT.CAFile, CertFile: c.MQTT.CertFile, KeyFile: c.MQTT.KeyFile},
		prefix: c.Board.Prefix, client: "lineside-doctor",
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	boards, err := b.boards(ctx)
	if err != nil {
		return []finding{{"broker", bad, err.Error(), "check cable, address, user and certificate: mqtt.url and the keys below it"}}
	}
	all := []finding{{"broker", fine, b.url, ""}}
	s, ok := boards[id]
	switch {
	case !ok:
		all = append(all, finding{"board", bad, "the broker knows no status of " + id, "systemctl start linesided; is board.prefix right, and may the board's user publish?"})
	case s.State == mqtt.StateReady && s.Why == "":
		all = append(all, finding{"board", fine, id + " is ready", ""})
	case s.State == mqtt.StateReady, s.State == mqtt.StateStarting, s.State == mqtt.StateDraining:
		all = append(all, finding{"board", warn, fmt.Sprintf("%s is %s: %s", id, s.State, s.Why), ""})
	default:
		all = append(all, finding{"board", bad, fmt.Sprintf("%s is %s: %s", id, s.State, s.Why), "journalctl -u linesided -n 50"})
	}
	if ok && s.Clock == mqtt.ClockUnsynced {
		all = append(all, finding{"clock", warn, "the board's clock is not set", "give it a time server: timedatectl timesync-status"})
	}
	return all
}

func checkHardware(c config.Config) (all []finding) {
	b, err := hw.Open(c.HW.Root)
	if err != nil {
		return []finding{{"hardware", bad, err.Error(), "mend hw.root"}}
	}
	defer b.Close()
	var s hw.Sample
	b.Sample(&s)
	id := b.Identity()
	if h := s.Heat(85); h.Sensors && !h.OK {
		all = append(all, finding{"hardware", bad, "no temperature can be read: work stops to be safe", "lineside hw shows the reason of each sensor"})
	} else {
		all = append(all, finding{"hardware", fine, id.Model, ""})
	}
	if s.SupplyWeak() {
		all = append(all, finding{"power", bad, "the supply is too weak", "use the board's own power supply and a short cable"})
	}
	if name := strings.TrimPrefix(c.LEDs.Lamps["status"], "sysfs:"); c.LEDs.Kind == "led" && name != c.LEDs.Lamps["status"] {
		if _, err := os.Stat(filepath.Join(c.HW.Root, "sys/class/leds", name)); err != nil {
			all = append(all, finding{"light", bad, err.Error(), "ls /sys/class/leds shows the lamps there are"})
		}
	}
	return all
}
