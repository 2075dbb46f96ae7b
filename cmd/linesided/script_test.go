package main

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"linesided": func() { os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr)) },
	})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata", Cmds: map[string]func(*testscript.TestScript, bool, []string){
		// here FILE puts the script's folder where FILE says WORKDIR: configurations want whole paths.
		"here": func(ts *testscript.TestScript, _ bool, args []string) {
			path := ts.MkAbs(args[0])
			text := strings.ReplaceAll(ts.ReadFile(path), "WORKDIR", ts.Getenv("WORK"))
			ts.Check(os.WriteFile(path, []byte(text), 0o644))
		},
	}})
}
