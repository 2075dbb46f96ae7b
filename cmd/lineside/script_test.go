package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"lineside/hw/hwtest"
	"lineside/image/imagetest"
	"lineside/image/layout"
	"lineside/image/slots"
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
	testscript.Run(t, testscript.Params{Dir: "testdata/script", Cmds: map[string]func(*testscript.TestScript, bool, []string){
		"card": writeCard,
	}, Setup: func(e *testscript.Env) error {
		for _, b := range append(hwtest.Boards(), hwtest.Hostile()) { // $WORK/boards/NAME for the hardware commands
			if err := b.Write(filepath.Join(e.WorkDir, "boards", b.Name)); err != nil {
				return err
			}
		}
		return nil
	}})
}

// writeCard is the script command "card FILE": a small card with both systems.
func writeCard(ts *testscript.TestScript, _ bool, args []string) {
	system := func(s layout.Slot, version string) map[string]string {
		return map[string]string{
			"config.txt": "kernel=kernel8.img\n", "kernel8.img": "kernel", "version.txt": version + "\n",
			"cmdline.txt": layout.Cmdline(s),
		}
	}
	ts.Check(imagetest.Card{Files: map[int]map[string]string{
		layout.Selector: {layout.AutobootFile: string(slots.Autoboot(layout.A)), layout.StatusFile: "LINESIDE STATUS\r\nall well\r\n"},
		layout.BootA:    system(layout.A, "1.2.0"),
		layout.BootB:    system(layout.B, "1.3.0"),
	}}.Write(ts.MkAbs(args[0])))
}
