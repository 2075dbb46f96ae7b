// Package audit keeps the record of who asked what and got which answer:
// append-only files of JSON lines, each with the hash of the one before, so
// that a line that was changed, taken out or put in shows.
//
// It is rotated and bounded, forgets the oldest first, and never blocks an
// answer on a slow disk. What a power cut can take is the last few seconds.
package audit

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"lineside/hw"
	"lineside/mqtt"
)

const (
	files      = 8                      // the bound is shared by so many files
	flushEvery = 250 * time.Millisecond // to the kernel
	syncEvery  = 5 * time.Second        // to the disk
	maxBuffer  = 1 << 20                // bytes that wait while the disk takes none
	namePrefix = "audit-"
	nameSuffix = ".jsonl"
)

// Entry is one ask with its answer.
type Entry struct {
	At     time.Time
	Client string
	Topic  string
	Ask    []byte // payload as it came
	Answer mqtt.Answer
}

// Line is one line of a file.
type Line struct {
	Seq    uint64          `json:"seq"` // counts from 1 over all files
	At     string          `json:"at"`
	Client string          `json:"client,omitempty"`
	Topic  string          `json:"topic,omitempty"`
	Ask    json.RawMessage `json:"ask,omitempty"`    // the payload; a JSON string where it was no JSON
	Answer *mqtt.Answer    `json:"answer,omitempty"` // with hashes only, text and data are left out
	// With hashes only: SHA-256 of the payload, and of the answer's text and data.
	AskHash    string `json:"ask_sha256,omitempty"`
	AnswerHash string `json:"answer_sha256,omitempty"`

	Note string `json:"note,omitempty"` // instead of an ask: what happened to the record itself
	Prev string `json:"prev"`           // hash of the line before; empty in the very first
	Hash string `json:"hash,omitempty"` // SHA-256 of the line without this field
}

// Log is the record. Append may be called from any goroutine.
type Log struct {
	dir    string
	max    int64 // bytes of all files
	hashes bool

	writable func() error // whether the disk takes writes at all

	mu     sync.Mutex
	file   *os.File // nil where the disk took no writes at the start
	size   int64    // of file, as far as it is good
	number int      // of file
	buffer bytes.Buffer
	seq    uint64
	head   string // hash of the last line
	err    error  // of the last write
	lost   uint64 // entries that found no room
}

// Open continues the record in dir. A last line that a power cut tore is cut off. On a disk
// that takes no writes nothing is recorded, which Err and Append tell.
func Open(dir string, maxBytes int64, hashes bool) (*Log, error) {
	l := &Log{dir: dir, max: maxBytes, hashes: hashes, writable: func() error { return hw.Writable(dir) }}
	if err := hw.MakeDir(dir, 0o750); errors.Is(err, hw.ErrReadOnly) {
		l.writable, l.err = func() error { return err }, err
		return l, nil
	} else if err != nil {
		return nil, fmt.Errorf("open audit: %w", err)
	}
	names, err := list(dir)
	if err != nil {
		return nil, fmt.Errorf("open audit: %w", err)
	}
	if len(names) == 0 {
		return l, l.create(1)
	}
	last := names[len(names)-1]
	data, err := os.ReadFile(filepath.Join(dir, last))
	if err != nil {
		return nil, fmt.Errorf("open audit: %w", err)
	}
	good := bytes.LastIndexByte(data, '\n') + 1
	l.number = numberOf(last)
	if l.file, err = os.OpenFile(filepath.Join(dir, last), os.O_WRONLY, 0o640); err != nil {
		return nil, fmt.Errorf("open audit: %w", err)
	}
	if err := l.cut(int64(good)); err != nil {
		return nil, err
	}
	if err := l.resume(names, data[:good]); err != nil {
		return nil, err
	}
	if good < len(data) {
		l.note(time.Now(), fmt.Sprintf("%d bytes of a torn line were cut off", len(data)-good))
	}
	return l, nil
}

// resume finds where the chain goes on.
func (l *Log) resume(names []string, data []byte) error {
	for i := len(names) - 1; ; {
		data = bytes.TrimSuffix(data, []byte("\n"))
		if len(data) > 0 {
			var line Line
			if err := json.Unmarshal(data[bytes.LastIndexByte(data, '\n')+1:], &line); err != nil {
				return fmt.Errorf("open audit: the last line of %s cannot be read: move the file away: %w", names[i], err)
			}
			l.seq, l.head = line.Seq, line.Hash
			return nil
		}
		if i--; i < 0 {
			return nil
		}
		var err error
		if data, err = os.ReadFile(filepath.Join(l.dir, names[i])); err != nil {
			return fmt.Errorf("open audit: %w", err)
		}
	}
}

// Append adds one entry. Its error says that the disk takes nothing; the entry
// then waits in memory, or is lost and counted where there is no room.
func (l *Log) Append(e Entry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.buffer.Len() > maxBuffer {
		l.lost++
		return l.err
	}
	line := Line{At: mqtt.Stamp(e.At), Client: e.Client, Topic: e.Topic, Answer: &e.Answer}
	if l.hashes {
		line.AskHash = digest(e.Ask)
		line.AnswerHash = digest(append([]byte(e.Answer.Text), e.Answer.Data...))
		e.Answer.Text, e.Answer.Data = "", nil
	} else if line.Ask = e.Ask; !json.Valid(e.Ask) {
		line.Ask, _ = json.Marshal(strings.ToValidUTF8(string(e.Ask[:min(len(e.Ask), 4096)]), "\uFFFD"))
	}
	l.add(line)
	return l.err
}

// Err is what the last write came to; nil where the disk takes lines.
func (l *Log) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

func digest(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// add chains a line and buffers it. l.mu is held.
func (l *Log) add(line Line) {
	l.seq++
	line.Seq, line.Prev, line.Hash = l.seq, l.head, ""
	body, err := json.Marshal(line)
	if err != nil {
		line.Ask, line.Answer, line.Note = nil, nil, "an entry does not encode: "+err.Error()
		body, _ = json.Marshal(line) // of strings and numbers
	}
	l.head = digest(body)
	l.buffer.Write(body[:len(body)-1])
	l.buffer.WriteString(`,"hash":"` + l.head + "\"}\n")
}

func (l *Log) note(at time.Time, text string) { l.add(Line{At: mqtt.Stamp(at), Note: text}) }

// Run writes what was appended until ctx ends, then writes the rest. Its error is news: what
// Err told before is no other failure at the end.
func (l *Log) Run(ctx context.Context) error {
	t := time.NewTicker(flushEvery)
	defer t.Stop()
	synced := time.Now()
	for {
		select {
		case <-ctx.Done():
			told := l.Err() != nil
			err := l.flush(true)
			if told {
				err = nil
			}
			return errors.Join(err, l.close())
		case now := <-t.C:
			sync := now.Sub(synced) >= syncEvery
			if sync {
				synced = now
			}
			_ = l.flush(sync) // Append tells
		}
	}
}

// flush writes the buffer to the file, the whole or nothing.
func (l *Log) flush(sync bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lost > 0 && l.buffer.Len() < maxBuffer/2 {
		l.note(time.Now(), fmt.Sprintf("%d entries are missing here: the disk took none", l.lost))
		l.lost = 0
	}
	if l.buffer.Len() == 0 {
		return l.err
	}
	l.err = l.write(sync)
	return l.err
}

// write asks first, so that nothing half written stands in the file, and again once it is
// done: a disk that turned read-only takes lines and loses them. l.mu is held.
func (l *Log) write(sync bool) error {
	if err := l.writable(); err != nil {
		return err
	}
	if l.size > l.max/files {
		if err := l.rotate(); err != nil {
			return err
		}
	}
	n, err := l.file.WriteAt(l.buffer.Bytes(), l.size)
	if err == nil && sync {
		err = l.file.Sync()
	}
	if err == nil {
		err = l.writable()
	}
	if err != nil {
		return errors.Join(err, l.file.Truncate(l.size))
	}
	l.size += int64(n)
	l.buffer.Reset()
	return nil
}

// rotate begins the next file and forgets the oldest. l.mu is held.
func (l *Log) rotate() error {
	old := l.file
	if err := old.Sync(); err != nil {
		return err
	}
	names, err := list(l.dir)
	if err != nil {
		return err
	}
	for len(names) >= files {
		if err := os.Remove(filepath.Join(l.dir, names[0])); err != nil {
			return err
		}
		names = names[1:]
	}
	if err := l.create(l.number + 1); err != nil {
		return err
	}
	return old.Close()
}

func (l *Log) create(number int) error {
	f, err := os.OpenFile(filepath.Join(l.dir, fmt.Sprintf("%s%08d%s", namePrefix, number, nameSuffix)), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o640)
	if err != nil {
		return fmt.Errorf("begin an audit file: %w", err)
	}
	l.file, l.size, l.number = f, 0, number
	return nil
}

func (l *Log) cut(size int64) error {
	if err := l.file.Truncate(size); err != nil {
		return fmt.Errorf("open audit: %w", err)
	}
	l.size = size
	return nil
}

func (l *Log) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	return l.file.Close()
}

// list names the files of dir, oldest first.
func list(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() && numberOf(e.Name()) > 0 {
			names = append(names, e.Name())
		}
	}
	slices.SortFunc(names, func(a, b string) int { return numberOf(a) - numberOf(b) })
	return names, nil
}

func numberOf(name string) int {
	var n int
	if _, err := fmt.Sscanf(name, namePrefix+"%d"+nameSuffix, &n); err != nil || fmt.Sprintf("%s%08d%s", namePrefix, n, nameSuffix) != name {
		return 0
	}
	return n
}
