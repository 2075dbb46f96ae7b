package mqtt_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"lineside/mqtt"
	"lineside/mqtt/mqtttest"
	"lineside/mqtt/wire"
)

// startDocs starts Mosquitto with a configuration of docs/mosquitto as it
// stands there, except for folders, the port and the user.
func startDocs(t *testing.T, conf string, files map[string]string) *mqtttest.Mosquitto {
	t.Helper()
	m := mqtttest.NewMosquitto(t)
	text, err := os.ReadFile(filepath.Join("../docs/mosquitto", conf))
	if err != nil {
		t.Fatal(err)
	}
	acl, err := os.ReadFile("../docs/mosquitto/acl")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(m.Dir, "acl"), acl, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, from := range files {
		b, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(m.Dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	host, port, _ := strings.Cut(m.Addr, ":")
	s := strings.NewReplacer("/etc/mosquitto/lineside/", m.Dir+"/", "/var/lib/mosquitto/", m.Dir+"/", "listener 8883", "listener "+port+" "+host).Replace(string(text))
	m.ConfigureWhole(s)
	m.Start()
	return m
}

// TestDocsMosquitto: the configurations that the documentation offers keep
// devices apart.
func TestDocsMosquitto(t *testing.T) {
	for _, version := range []string{wire.Version5, wire.Version311} {
		t.Run("mtls/"+version, func(t *testing.T) {
			t.Parallel()
			ca := mqtttest.NewAuthority(t)
			server := ca.IssueNow("broker")
			m := startDocs(t, "mosquitto-mtls.conf", map[string]string{"ca.crt": ca.CA, "broker.crt": server.CertFile, "broker.key": server.KeyFile})
			mqtttest.AccessSuite(t, version, mqtttest.Guarded{URL: "mqtts://" + m.Addr, Login: mqtttest.LoginByCertificate(ca)})
		})
		t.Run("password/"+version, func(t *testing.T) {
			t.Parallel()
			ca := mqtttest.NewAuthority(t)
			server := ca.IssueNow("broker")
			login, passwords := mqtttest.LoginByPassword(t)
			m := startDocs(t, "mosquitto-password.conf", map[string]string{"passwd": passwords, "broker.crt": server.CertFile, "broker.key": server.KeyFile})
			mqtttest.AccessSuite(t, version, mqtttest.Guarded{URL: "mqtts://" + m.Addr, Login: func(user string, o *wire.Options) {
				login(user, o)
				o.TLS.CAFile = ca.CA
			}})
		})
	}
}

// TestIntegratorExamples runs every shell example of docs/integrator.md.
func TestIntegratorExamples(t *testing.T) {
	for _, tool := range []string{"mosquitto_rr", "mosquitto_pub", "mosquitto_sub"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(tool + " is not installed: apt-get install mosquitto-clients")
		}
	}
	page, err := os.ReadFile("../docs/integrator.md")
	if err != nil {
		t.Fatal(err)
	}
	m := mqtttest.StartMosquitto(t)
	b := mqtttest.StartBoard(t, m.URL(), wire.Version5, "b03", func(c *mqtt.Config) { c.Prefix = "" })
	b.WaitUp(t)
	if err := b.Publish(t.Context(), mqtt.Outgoing{Topic: b.Topics.Info(), Payload: []byte(`{"v":1,"board":"b03"}`), QoS: 1, Retain: true}); err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	serving, stop := context.WithCancel(context.Background())
	go func() {
		defer close(served)
		serve(serving, b)
	}()
	defer func() {
		stop()
		<-served
	}()
	host, port, _ := strings.Cut(m.Addr, ":")
	examples := 0
	for _, block := range strings.Split(string(page), "```sh\n")[1:] {
		script, _, _ := strings.Cut(block, "```")
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		out, err := exec.CommandContext(ctx, "sh", "-ec", strings.ReplaceAll(script, "-h broker.plant", "-h "+host+" -p "+port)).CombinedOutput()
		cancel()
		if err != nil {
			t.Errorf("%s\n%v: %s", script, err, out)
		}
		switch {
		case strings.Contains(script, "mosquitto_rr") && !strings.Contains(string(out), `"code":0`):
			t.Errorf("%s\nprints %s", script, out)
		case strings.Contains(script, "mosquitto_sub") && (!strings.Contains(string(out), `"state":"ready"`) || !strings.Contains(string(out), `"board":"b03"`)):
			t.Errorf("%s\nprints %s", script, out)
		}
		examples++
	}
	if examples != 7 {
		t.Errorf("%d examples ran, want 7", examples)
	}
}

// TestIntegratorNamesAll holds the page to the verbs and events that there are.
func TestIntegratorNamesAll(t *testing.T) {
	page, err := os.ReadFile("../docs/integrator.md")
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile("../docs/mqtt/schema/event.json")
	if err != nil {
		t.Fatal(err)
	}
	var schema struct {
		Properties struct{ Event struct{ Enum []string } }
	}
	if err := json.Unmarshal(b, &schema); err != nil || len(schema.Properties.Event.Enum) == 0 {
		t.Fatalf("no events in the schema: %v", err)
	}
	for _, name := range append(schema.Properties.Event.Enum, mqtt.Verbs()...) {
		if !strings.Contains(string(page), "`"+name+"`") {
			t.Errorf("docs/integrator.md does not name %s", name)
		}
	}
}

// TestNodeRedFlow: the flow is well formed and uses topics of the API.
func TestNodeRedFlow(t *testing.T) {
	b, err := os.ReadFile("../docs/mqtt/node-red-flow.json")
	if err != nil {
		t.Fatal(err)
	}
	var nodes []struct {
		ID, Type, Z, Topic, Broker, Retain string
		Wires                              [][]string
	}
	if err := json.Unmarshal(b, &nodes); err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for _, n := range nodes {
		if ids[n.ID] {
			t.Errorf("two nodes %s", n.ID)
		}
		ids[n.ID] = true
	}
	for _, n := range nodes {
		for _, wires := range n.Wires {
			for _, to := range wires {
				if !ids[to] {
					t.Errorf("%s leads to %s, which is not there", n.ID, to)
				}
			}
		}
		if strings.HasPrefix(n.Type, "mqtt ") {
			if _, err := (mqtt.Topics{}).Parse(n.Topic); err != nil || !ids[n.Broker] {
				t.Errorf("%s: %v", n.ID, err)
			}
		}
		if n.Type == "mqtt out" && n.Retain != "false" {
			t.Errorf("%s retains asks", n.ID)
		}
	}
}

// TestStructuredText: the function block's ask is one that a board takes, on topics of
// the API, and its blocks are closed.
func TestStructuredText(t *testing.T) {
	b, err := os.ReadFile("../docs/mqtt/ask.st")
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	part := func(from, to string) string { // with names in place of the variables
		_, rest, _ := strings.Cut(text, from)
		rest, _, _ = strings.Cut(rest, to)
		return literals(strings.NewReplacer("sBoard", "'b03'", "sClient", "'plc1'", "sCode", "'E42'", "sId", "'p1'", "REAL_TO_STRING(rValue)", "'7.130000E+001'").Replace(rest))
	}
	for topic, kind := range map[string]mqtt.Kind{part("fbSub(", "iQoS"): mqtt.KindAnswer, part("fbPublish(", "sPayload"): mqtt.KindAskSkill} {
		if a, err := (mqtt.Topics{}).Parse(topic); err != nil || a.Kind != kind || a.Client != "plc1" || a.Board != "b03" {
			t.Errorf("topic %q is %+v: %v", topic, a, err)
		}
	}
	payload := part("sPayload := ", "xBusy := TRUE")
	ask, refusal := mqtt.ParseAsk([]byte(payload), mqtt.Limits{})
	if refusal != nil || ask.ID != "p1" || string(ask.Args) != `{"code":"E42","value":7.130000E+001}` || ask.MaxChars == 0 {
		t.Errorf("the ask is %s: %v", payload, refusal)
	}
	for _, word := range []string{"FUNCTION_BLOCK", "FUNCTION", "IF", "FOR", "VAR(_INPUT|_OUTPUT)?"} {
		opened := regexp.MustCompile(`(?m)^\s*`+word+`\b`).FindAllString(text, -1)
		name, _, _ := strings.Cut(word, "(")
		closed := regexp.MustCompile(`(?m)^\s*END_`+name+`\b`).FindAllString(text, -1)
		if len(opened) == 0 || len(opened) != len(closed) {
			t.Errorf("%d times %s, %d times END_%s", len(opened), name, len(closed), name)
		}
	}
}

// literals joins the string literals of a line.
func literals(line string) string {
	var all string
	for i, part := range strings.Split(line, "'") {
		if i%2 == 1 {
			all += part
		}
	}
	return all
}
