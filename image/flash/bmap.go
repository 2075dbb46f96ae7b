package flash

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Map is a block map: which parts of an image hold anything, each with its SHA-256. The
// rest need not be written.
type Map struct {
	ImageBytes int64
	Ranges     []Range
}

// Range is a part of an image.
type Range struct {
	Start, Bytes int64
	SHA256       string // hex; empty: not known
}

// ErrMap says that a block map cannot be used.
var ErrMap = errors.New("damaged block map")

// maxMap is more than any card's block map, in bytes.
const maxMap = 16 << 20

// ParseMap reads a .bmap file as bmaptool makes it (version 2.0), and checks its own sum.
func ParseMap(r io.Reader) (Map, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxMap))
	if err != nil {
		return Map{}, err
	}
	var file struct {
		Version  string `xml:"version,attr"`
		Image    string `xml:"ImageSize"`
		Block    string `xml:"BlockSize"`
		Blocks   string `xml:"BlocksCount"`
		Checksum string `xml:"ChecksumType"`
		Sum      string `xml:"BmapFileChecksum"`
		Ranges   []struct {
			Sum  string `xml:"chksum,attr"`
			Text string `xml:",chardata"`
		} `xml:"BlockMap>Range"`
	}
	if err := xml.Unmarshal(data, &file); err != nil {
		return Map{}, fmt.Errorf("%w: %w", ErrMap, err)
	}
	if !strings.HasPrefix(file.Version, "2.") || strings.TrimSpace(file.Checksum) != "sha256" {
		return Map{}, fmt.Errorf("%w: version %q with %q sums, want 2.0 with sha256", ErrMap, file.Version, strings.TrimSpace(file.Checksum))
	}
	if err := ownSum(string(data), strings.TrimSpace(file.Sum)); err != nil {
		return Map{}, err
	}
	size, err1 := natural(file.Image)
	block, err2 := natural(file.Block)
	if err := errors.Join(err1, err2); err != nil || block == 0 || size == 0 {
		return Map{}, fmt.Errorf("%w: it has no sizes: %w", ErrMap, err)
	}
	m := Map{ImageBytes: size}
	last := int64(-1)
	for _, r := range file.Ranges {
		from, to, ok := strings.Cut(strings.TrimSpace(r.Text), "-")
		if !ok {
			to = from
		}
		a, err1 := natural(from)
		b, err2 := natural(to)
		if errors.Join(err1, err2) != nil || a <= last || b < a || b > (size-1)/block {
			return Map{}, fmt.Errorf("%w: blocks %q of an image of %d bytes", ErrMap, strings.TrimSpace(r.Text), size)
		}
		last = b
		m.Ranges = append(m.Ranges, Range{a * block, min((b-a+1)*block, size-a*block), strings.TrimSpace(r.Sum)})
	}
	return m, nil
}

func natural(s string) (int64, error) {
	n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
	if err == nil && n < 0 {
		err = fmt.Errorf("%d is negative", n)
	}
	return n, err
}

// ownSum checks the map's sum of itself, which was made with zeros in the sum's place.
func ownSum(data, sum string) error {
	if len(sum) != 64 || strings.Count(data, sum) != 1 {
		return fmt.Errorf("%w: it has no sum of its own", ErrMap)
	}
	got := sha256.Sum256([]byte(strings.Replace(data, sum, strings.Repeat("0", 64), 1)))
	if hex.EncodeToString(got[:]) != sum {
		return fmt.Errorf("%w: its sum does not fit: copy it again", ErrMap)
	}
	return nil
}

// Whole is the map of an image without one.
func Whole(bytes int64) Map { return Map{bytes, []Range{{0, bytes, ""}}} }

// Bytes that are written.
func (m Map) Bytes() int64 {
	n := int64(0)
	for _, r := range m.Ranges {
		n += r.Bytes
	}
	return n
}
