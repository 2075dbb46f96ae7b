package hw_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"lineside/hw"
	"lineside/hw/hwtest"
)

// asNobody runs do as a user who may only do what files permit everybody.
func asNobody(do func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		_, _, _ = syscall.RawSyscall(syscall.SYS_SETFSUID, 65534, 0, 0)
		do()
	}()
	<-done
}

// TestTriggerFiles: the kernel makes a trigger's files when the trigger is set, as root's, and udev
// hands them over a moment later, or never.
func TestTriggerFiles(t *testing.T) {
	beat := hw.Pattern{Name: "good", Color: hw.Green, Beat: true, Steps: []time.Duration{80 * time.Millisecond}}
	for _, tt := range []struct {
		name          string
		after         time.Duration // 0: never
		trigger, shot string
	}{
		{"soon", 300 * time.Millisecond, "oneshot", "1"},
		{"late", 10 * time.Second, "oneshot", "1"},
		{"never", 0, "none", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir, p := panel(t, hwtest.Pi5(), nil, hw.LightConfig{Kind: "led", Lamps: map[string]string{"l": "sysfs:ACT"}})
				allow := func(mode fs.FileMode, files ...string) {
					for _, f := range files {
						if err := os.Chmod(filepath.Join(dir, "sys/class/leds/ACT", f), mode); err != nil {
							t.Error(err)
						}
					}
				}
				brought := []string{"delay_on", "delay_off", "invert", "shot"}
				allow(0o666, "trigger", "brightness")
				allow(0o444, brought...)
				if tt.after > 0 {
					time.AfterFunc(tt.after, func() { allow(0o666, brought...) })
				}
				asNobody(func() {
					if err := p.Show(beat); err != nil {
						t.Error(err)
					}
					if err := p.Beat(); errors.Is(err, fs.ErrPermission) != (tt.after == 0 || tt.after > 2*time.Second) {
						t.Errorf("the first beat: %v", err)
					}
					if err := p.Beat(); err != nil { // from now on by hand
						t.Errorf("the second beat: %v", err)
					}
					if tt.after > 2*time.Second {
						time.Sleep(time.Minute) // of the bubble: then the kernel is tried again
						if err := p.Beat(); err != nil {
							t.Errorf("a beat after a minute: %v", err)
						}
					}
				})
				act := led(t, dir, "ACT")
				if act("trigger") != tt.trigger || act("shot") != tt.shot {
					t.Errorf("trigger %s, shot %s, want %s, %s", act("trigger"), act("shot"), tt.trigger, tt.shot)
				}
			})
		})
	}
}
