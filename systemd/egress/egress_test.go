package egress

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestSinkSeesEveryWay(t *testing.T) {
	six := "::1"
	if l, err := net.Listen("tcp", "[::1]:0"); err != nil {
		six = "127.0.0.1" // no IPv6 here: the four others count
	} else {
		l.Close()
	}
	s, err := Listen("127.0.0.1", six, filepath.Join(t.TempDir(), "sink"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	p := s.Plan("a1b2")
	p.Packets = true
	if six != "::1" {
		p.TCP6, p.UDP6 = "", ""
	}
	run := Run{Want: Reached, Attempts: Probe(ctx, p)}
	run.Arrived = s.Arrived("a1b2")
	if bad := run.Bad(); len(bad) > 0 {
		t.Errorf("without walls: %v", bad)
	}
	if other := s.Arrived("zzzz"); len(other) > 0 {
		t.Errorf("another run's words: %v", other)
	}
	run.Want = Stopped
	if got, want := len(run.Bad()), len(run.Attempts); got != want {
		t.Errorf("%d of %d open ways are called bad", got, want)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestBad(t *testing.T) {
	stopped := Attempt{Way: "tcp4", Target: Sink4, State: Stopped, Sink: true}
	for name, tt := range map[string]struct {
		run  Run
		want string // part of the complaint; empty: none
	}{
		"stopped":             {Run{Want: Stopped, Attempts: []Attempt{stopped}}, ""},
		"one way open":        {Run{Want: Stopped, Attempts: []Attempt{stopped, {Way: "dns", State: Reached, By: "it worked"}}}, "dns"},
		"arrived unnoticed":   {Run{Want: Stopped, Attempts: []Attempt{stopped}, Arrived: []string{"tcp4"}}, "tcp4"},
		"nothing tried":       {Run{Want: Stopped}, "nothing was tried"},
		"could not be tried":  {Run{Want: Stopped, Err: "no unit"}, "no unit"},
		"control got through": {Run{Want: Reached, Attempts: []Attempt{stopped}, Arrived: []string{"tcp4"}}, ""},
		"control stopped":     {Run{Want: Reached, Attempts: []Attempt{stopped}}, "nothing is proven"},
	} {
		t.Run(name, func(t *testing.T) {
			got := strings.Join(tt.run.Bad(), "; ")
			if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestSeal(t *testing.T) {
	r := Report{Board: "b03", Runs: []Run{{Want: Stopped, Attempts: []Attempt{{Way: "tcp4", State: Stopped}}}}}
	if err := r.Seal(); err != nil || !r.Good {
		t.Fatalf("good: %v, err: %v", r.Good, err)
	}
	data, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var read Report
	if err := json.Unmarshal(data, &read); err != nil {
		t.Fatal(err)
	}
	if err := read.Verify(); err != nil {
		t.Errorf("an untouched report: %v", err)
	}
	read.Runs[0].Attempts[0].Way = "udp4"
	if read.Verify() == nil {
		t.Error("a changed report is taken")
	}
	r.Runs[0].Attempts[0].State = Reached
	if err := r.Seal(); err != nil || r.Good {
		t.Errorf("an open way is called good; err: %v", err)
	}
	var b bytes.Buffer
	r.Write(&b)
	if !strings.Contains(b.String(), "NOT PROVEN") {
		t.Errorf("the report for people hides it:\n%s", &b)
	}
}

// TestUnit keeps the sandbox with its drop-ins in their order, and nothing of the service.
func TestUnit(t *testing.T) {
	cat := `# /usr/lib/systemd/system/x.service
[Unit]
Description=x
OnFailure=y.service

[Service]
Type=notify
ExecStart=/usr/bin/x
RuntimeDirectory=x
User=x
# a comment=with a sign
IPAddressDeny=any

# /run/systemd/system/x.service.d/50.conf
[Service]
IPAddressAllow=10.0.0.1
LoadCredential=a:/b

[Install]
WantedBy=multi-user.target
`
	got := string(Unit([]byte(cat), "/usr/bin/lineside", "/run/out", []string{"probe", `{"a":"50% $x"}`}, "User=nobody"))
	_, service, _ := strings.Cut(got, "[Service]\n")
	want := []string{"User=x", "IPAddressDeny=any", "IPAddressAllow=10.0.0.1", "Type=oneshot", "TimeoutStartSec=60", "ExecPaths=/usr/bin/lineside",
		"StandardOutput=truncate:/run/out", `ExecStart=/usr/bin/lineside "probe" "{\"a\":\"50%% $$x\"}"`, "User=nobody"}
	if lines := strings.Split(strings.TrimSpace(service), "\n"); !slices.Equal(lines, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
}
