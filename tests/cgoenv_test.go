package tests

import (
	"os/exec"
	"runtime"
	"strings"
	"testing"
)

// TestNativeWithoutAMX: on a processor that has AMX, the flags of this machine must not say so.
// The compiler says what it would define there, wherever the test runs.
func TestNativeWithoutAMX(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("AMX is Intel's")
	}
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("gcc is not installed: run tools/deps.sh build")
	}
	cmd := exec.Command("sh", "-ec", `eval "$(tools/cgoenv.sh native)"
		gcc $(echo "$CGO_CXXFLAGS" | sed s/-march=native/-march=sapphirerapids/) -dM -E -x c++ /dev/null`)
	cmd.Dir = ".."
	out, err := cmd.Output()
	if err != nil || !strings.Contains(string(out), "__AVX512VNNI__") {
		t.Fatalf("gcc: %v\n%.200s", err, out)
	}
	if strings.Contains(string(out), "__AMX_") {
		t.Error("the engine would be built for AMX, whose kernels the module lacks")
	}
}
