package daemon

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"

	"lineside/mqtt"
)

// chunkEvery is the least time between two chunks of an answer, except at the
// end of a sentence.
const chunkEvery = 250 * time.Millisecond

// writer takes the pieces of one answer as the engine emits them, and sends
// chunks where they were asked for.
type writer struct {
	d     *Daemon
	a     *ask
	text  strings.Builder
	chars int
	sent  int // bytes of text that went out in chunks
	i     int
	last  time.Time
	first time.Duration // from arrival to the first piece
}

// take gets one piece from the engine.
func (w *writer) take(piece string) error {
	now := time.Now()
	if w.first == 0 {
		w.first = now.Sub(w.a.arrived)
		w.last = now
	}
	w.d.count.progress.Store(now.UnixNano())
	w.text.WriteString(piece)
	for range piece {
		w.chars++
	}
	if w.a.req.Stream && (now.Sub(w.last) >= chunkEvery || sentence(piece)) {
		w.flush(false)
		w.last = now
	}
	if m := w.a.maxChars(); m > 0 && w.chars > m && !w.a.wantsData() {
		return errEnough
	}
	return nil
}

// sentence reports whether a piece ends one.
func sentence(piece string) bool {
	piece = strings.TrimRight(piece, " ")
	return piece != "" && strings.ContainsRune(".!?\n", rune(piece[len(piece)-1]))
}

// flush sends what came since the last chunk.
func (w *writer) flush(last bool) {
	if !w.a.req.Stream {
		return
	}
	text := w.text.String()
	if m := w.a.maxChars(); m > 0 && !w.a.wantsData() {
		text, _ = cutChars(text, m)
	}
	if len(text) <= w.sent && !last {
		return
	}
	c := mqtt.Chunk{ID: w.a.req.ID, I: w.i, Text: text[min(w.sent, len(text)):], Last: last}
	w.i, w.sent = w.i+1, len(text)
	w.d.softly(delivery{to: w.a.replies.Chunk, corr: w.a.corr, payload: encode(c)})
}

// encode writes compact JSON without HTML escapes.
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic("daemon: a wire type does not encode: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// compact takes the blanks out of JSON.
func compact(text string) []byte {
	var b bytes.Buffer
	if json.Compact(&b, []byte(text)) != nil {
		return []byte(text)
	}
	return b.Bytes()
}
