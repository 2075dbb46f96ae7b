package daemon

import (
	"context"
	"os"
	"time"
)

const (
	aliveEvery = 2 * time.Second
	longAway   = time.Hour // what is assumed where nobody knows how long the board was off
)

// keepAlive touches the file that tells the next start since when the board was away.
func (d *Daemon) keepAlive(ctx context.Context) error {
	t := time.NewTicker(aliveEvery)
	defer t.Stop()
	for {
		d.tell(touch(d.AliveFile))
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

func touch(path string) error {
	now := time.Now()
	err := os.Chtimes(path, now, now)
	if os.IsNotExist(err) {
		return os.WriteFile(path, nil, 0o640)
	}
	return err
}

// awaySince is since when the board was away, going by the file. Where it is
// gone, as after a power cut, or from the future, the board may have been away
// for long. A board that never ran has no session at the broker and thus nothing
// that waited there: the zero time.
func awaySince(path string, ranBefore bool, now time.Time) time.Time {
	info, err := os.Stat(path)
	switch {
	case err == nil && !info.ModTime().After(now.Add(aliveEvery)):
		return info.ModTime()
	case err != nil && !ranBefore:
		return time.Time{}
	}
	return now.Add(-longAway)
}
