package inferencetest

import "testing"

func TestScriptedEngine(t *testing.T) {
	Suite(t, func(*testing.T) Generator { return &Engine{} })
}
