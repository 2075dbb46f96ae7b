package image

import (
	"os"
	"testing"
)

func TestYY(t *testing.T) {
	b := newBoard(t)
	b.provision(b.config())
	b.start()
	b.status("ready", "")
	b.healthy()
	out, err := b.on.Run(b.wait(), os.Getenv("CMD"))
	b.must(err)
	b.must(os.WriteFile("/tmp/yy.txt", []byte(out), 0o644))
	b.off()
}
