package mqtttest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"lineside/mqtt/wire"
)

// LoginByCertificate logs everybody but "nobody" in with a certificate of ca.
func LoginByCertificate(ca *Authority) func(string, *wire.Options) {
	return func(user string, o *wire.Options) {
		o.TLS = wire.TLS{CAFile: ca.CA}
		if user != "nobody" {
			o.TLS = ca.IssueNow(user)
		}
	}
}

// LoginByPassword makes a password file with mosquitto_passwd for b03, plc1,
// plc2 and op1, and logs everybody but "nobody" in with it.
func LoginByPassword(t testing.TB) (login func(string, *wire.Options), passwords string) {
	t.Helper()
	tool, err := exec.LookPath("mosquitto_passwd")
	if err != nil {
		t.Skip("mosquitto_passwd is not installed: apt-get install mosquitto")
	}
	dir := t.TempDir()
	passwords = filepath.Join(dir, "passwd")
	if err := os.WriteFile(passwords, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	secret := func(user string) string { return filepath.Join(dir, user+".secret") }
	for _, user := range []string{"b03", "plc1", "plc2", "op1"} {
		if out, err := exec.Command(tool, "-b", passwords, user, "secret of "+user).CombinedOutput(); err != nil {
			t.Fatalf("mosquitto_passwd: %v: %s", err, out)
		}
	}
	for _, user := range []string{"b03", "plc1", "plc2", "op1", "nobody"} {
		if err := os.WriteFile(secret(user), []byte("secret of "+user+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return func(user string, o *wire.Options) { o.Username, o.PasswordFile = user, secret(user) }, passwords
}
