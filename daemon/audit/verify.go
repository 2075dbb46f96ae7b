package audit

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// ErrTampered: the chain does not hold.
var ErrTampered = errors.New("the audit chain is broken")

// Report says what a verified record holds.
type Report struct {
	Files int    `json:"files"`
	Lines uint64 `json:"lines"`
	First uint64 `json:"first"` // sequence numbers; First is above 1 where older files were forgotten
	Last  uint64 `json:"last"`
	Head  string `json:"head"` // hash of the last line: note it elsewhere to prove later that nothing was cut off
	Torn  bool   `json:"torn"` // the last line is not whole yet
}

// Read walks the record of dir from the oldest line on and checks the chain.
// each, which may be nil, gets every good line as it stands in the file. The
// error wraps ErrTampered and names file and line where the chain breaks.
func Read(dir string, each func(Line, []byte) error) (Report, error) {
	names, err := list(dir)
	if err != nil {
		return Report{}, fmt.Errorf("read audit: %w", err)
	}
	r := Report{Files: len(names)}
	for i, name := range names {
		f, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			return r, fmt.Errorf("read audit: %w", err)
		}
		err = r.file(f, name, i == len(names)-1, each)
		if err = errors.Join(err, f.Close()); err != nil {
			return r, err
		}
	}
	return r, nil
}

func (r *Report) file(f io.Reader, name string, last bool, each func(Line, []byte) error) error {
	rd := bufio.NewReader(f)
	for n := 1; ; n++ {
		raw, err := rd.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			if len(raw) > 0 && !last {
				return fmt.Errorf("%w: %s, line %d is torn", ErrTampered, name, n)
			}
			r.Torn = len(raw) > 0
			return nil
		}
		if err != nil {
			return fmt.Errorf("read audit: %w", err)
		}
		raw = raw[:len(raw)-1]
		line, why := check(raw)
		switch {
		case why != "":
		case r.Lines > 0 && line.Prev != r.Head:
			why = "it does not follow the line before"
		case r.Lines > 0 && line.Seq != r.Last+1:
			why = "a line before it is missing"
		case r.Lines == 0 && line.Seq == 1 && line.Prev != "":
			why = "it is the first but names one before"
		}
		if why != "" {
			return fmt.Errorf("%w: %s, line %d: %s", ErrTampered, name, n, why)
		}
		if r.Lines == 0 {
			r.First = line.Seq
		}
		r.Lines, r.Last, r.Head = r.Lines+1, line.Seq, line.Hash
		if each != nil {
			if err := each(line, raw); err != nil {
				return err
			}
		}
	}
}

// check holds one line to its own hash.
func check(raw []byte) (Line, string) {
	const tail = len(`,"hash":""}`) + 64
	var line Line
	if len(raw) < tail || json.Unmarshal(raw, &line) != nil {
		return line, "it cannot be read"
	}
	body, end := raw[:len(raw)-tail], raw[len(raw)-tail:]
	if !bytes.HasPrefix(end, []byte(`,"hash":"`)) || digest(append(bytes.Clone(body), '}')) != line.Hash {
		return line, "it was changed"
	}
	return line, ""
}
