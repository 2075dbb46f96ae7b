package systemd

import (
	"os"
	"path/filepath"
)

// Credential is the file in which systemd hands the service a secret by LoadCredential=, or
// empty where it was not given that one.
func Credential(name string) string {
	dir := os.Getenv("CREDENTIALS_DIRECTORY")
	if dir == "" || name != filepath.Base(name) {
		return ""
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return path
}
