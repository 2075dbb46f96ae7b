package main

import (
	"slices"
	"testing"

	"lineside/daemon/config"
)

// TestDisks: folders of one disk count once, and the read-only root not at all.
func TestDisks(t *testing.T) {
	c := config.Defaults()
	if got := disks(c); !slices.Equal(got, []string{"/var/lib/lineside"}) {
		t.Errorf("by default: %v", got)
	}
	c.Audit.Dir, c.Licence.Dir = "", "/var/lib/lineside-models"
	if got := disks(c); !slices.Equal(got, []string{"/var/lib/lineside", "/var/lib/lineside-models"}) {
		t.Errorf("models elsewhere: %v", got)
	}
}
