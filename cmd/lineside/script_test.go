package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"lineside/hw/hwtest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"lineside": func() {
			os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
		},
	})
}

// TestScripts runs the commands as a user types them.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script", Setup: func(e *testscript.Env) error {
		for _, b := range hwtest.Boards() { // $WORK/boards/NAME for the hardware commands
			if err := b.Write(filepath.Join(e.WorkDir, "boards", b.Name)); err != nil {
				return err
			}
		}
		return nil
	}})
}
