package flash

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
)

// ErrImage says that the image itself is not what its block map describes.
var ErrImage = errors.New("the image is damaged: copy or download it again")

// ErrCard says that the card does not hold what was written to it.
var ErrCard = errors.New("the card does not hold what was written: use another card or reader")

// Writer writes one image to one disk.
type Writer struct {
	Image io.Reader // from its first byte on
	Map   Map
	To    *os.File
	// Progress is told of bytes done: written first, then read back. nil: nobody.
	Progress func(phase string, done, total int64)
}

// Phases of the work.
const (
	Writing   = "writing"
	Verifying = "reading back"
)

// Run writes, brings everything onto the medium, and reads it back.
func (w *Writer) Run(ctx context.Context) error {
	sums, err := w.write(ctx)
	if err != nil {
		return err
	}
	if err := w.To.Sync(); err != nil {
		return fmt.Errorf("%w: %w", ErrCard, err)
	}
	forget(w.To)
	return w.verify(ctx, sums)
}

const chunk = 1 << 20

func (w *Writer) write(ctx context.Context) ([]string, error) {
	var sums []string
	at, done, buf := int64(0), int64(0), make([]byte, chunk)
	for _, r := range w.Map.Ranges {
		if err := skip(w.Image, r.Start-at); err != nil {
			return nil, fmt.Errorf("%w: it ends before byte %d", ErrImage, r.Start)
		}
		at = r.Start
		h := sha256.New()
		for at < r.Start+r.Bytes {
			if err := ctx.Err(); err != nil {
				return nil, fmt.Errorf("stopped: the card is not usable: %w", err)
			}
			b := buf[:min(chunk, r.Start+r.Bytes-at)]
			if _, err := io.ReadFull(w.Image, b); err != nil {
				return nil, fmt.Errorf("%w: it ends at byte %d: %w", ErrImage, at, err)
			}
			h.Write(b)
			if _, err := w.To.WriteAt(b, at); err != nil {
				return nil, fmt.Errorf("write byte %d: %w", at, err)
			}
			at += int64(len(b))
			done += int64(len(b))
			w.tell(Writing, done)
		}
		sum := hex.EncodeToString(h.Sum(nil))
		if r.SHA256 != "" && r.SHA256 != sum {
			return nil, fmt.Errorf("%w: bytes %d to %d have another sum than its block map says", ErrImage, r.Start, r.Start+r.Bytes)
		}
		sums = append(sums, sum)
	}
	return sums, nil
}

// skip passes over n bytes, by seeking where that is possible.
func skip(r io.Reader, n int64) error {
	if n == 0 {
		return nil
	}
	if s, ok := r.(io.Seeker); ok {
		_, err := s.Seek(n, io.SeekCurrent)
		return err
	}
	_, err := io.CopyN(io.Discard, r, n)
	return err
}

func (w *Writer) verify(ctx context.Context, sums []string) error {
	done, buf := int64(0), make([]byte, chunk)
	for i, r := range w.Map.Ranges {
		h := sha256.New()
		for at := r.Start; at < r.Start+r.Bytes; {
			if err := ctx.Err(); err != nil {
				return fmt.Errorf("stopped: the card is written but was not read back: %w", err)
			}
			b := buf[:min(chunk, r.Start+r.Bytes-at)]
			if _, err := w.To.ReadAt(b, at); err != nil {
				return fmt.Errorf("%w: read byte %d: %w", ErrCard, at, err)
			}
			h.Write(b)
			at += int64(len(b))
			done += int64(len(b))
			w.tell(Verifying, done)
		}
		if hex.EncodeToString(h.Sum(nil)) != sums[i] {
			return fmt.Errorf("%w: bytes %d to %d differ", ErrCard, r.Start, r.Start+r.Bytes)
		}
	}
	return nil
}

func (w *Writer) tell(phase string, done int64) {
	if w.Progress != nil {
		w.Progress(phase, done, w.Map.Bytes())
	}
}
