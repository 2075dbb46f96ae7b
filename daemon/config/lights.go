package config

import (
	"bytes"
	"os"
	"slices"

	"github.com/pelletier/go-toml/v2"

	"lineside/hw"
)

// LightsOf finds the lights of a configuration whose other parts may be broken: a board that
// must show a failure cannot wait for a good file. Lights may come back beside an error, which
// says what is wrong with the file.
func LightsOf(path string) ([]hw.LightConfig, error) {
	c, err := Load(path)
	if err == nil {
		return c.LEDs.Lights(), nil
	}
	data, rerr := os.ReadFile(path)
	if rerr != nil {
		return nil, err
	}
	found := struct {
		LEDs LEDs `toml:"leds"`
	}{Defaults().LEDs}
	if derr := toml.Unmarshal(tables(data, "leds"), &found); derr != nil {
		return nil, err
	}
	lights := slices.DeleteFunc(found.LEDs.Lights(), func(l hw.LightConfig) bool { return l.Check() != nil })
	return lights, err
}

// tables are the lines of a table and of those below it, whatever stands in the others.
func tables(data []byte, name string) []byte {
	var out []byte
	in := false
	for line := range bytes.Lines(data) {
		if head := bytes.TrimSpace(line); len(head) > 0 && head[0] == '[' {
			own := bytes.Trim(head, "[ ")
			in = bytes.HasPrefix(own, []byte(name+"]")) || bytes.HasPrefix(own, []byte(name+"."))
		}
		if in {
			out = append(out, line...)
		}
	}
	return out
}
