package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"

	"lineside/inference/calibrate"
)

// Calibrate has an engine program find the best numbers of threads with a model
// and keep them in its state folder. show is called after each number.
func Calibrate(ctx context.Context, program, model, stateDir string, show func(calibrate.Step)) (calibrate.Result, error) {
	cmd := exec.CommandContext(ctx, program, "--model", model, "--state-dir", stateDir, "--calibrate")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	var r calibrate.Result
	out, err := cmd.StdoutPipe()
	if err != nil {
		return r, err
	}
	if err := cmd.Start(); err != nil {
		return r, fmt.Errorf("start %s: %w: run make build", program, err)
	}
	for dec := json.NewDecoder(out); ; {
		var line struct {
			calibrate.Step
			calibrate.Result
		}
		if dec.Decode(&line) != nil {
			break // the end, or the program says on stderr what is wrong
		}
		if line.Threads > 0 {
			show(line.Step)
		} else {
			r = line.Result
		}
	}
	if err := cmd.Wait(); err != nil {
		says := strings.TrimSpace(stderr.String())
		return r, fmt.Errorf("calibrate: %w: %s", err, says[strings.LastIndexByte(says, '\n')+1:])
	}
	if r.Decode == 0 {
		return r, fmt.Errorf("calibrate: %s printed no result: is it a lineside-engine of this version?", program)
	}
	return r, nil
}
