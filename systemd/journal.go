package systemd

import (
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/coreos/go-systemd/v22/journal"
)

// NewLogger writes to the journal with its fields and priorities where stderr
// is the journal's stream, else as text to w.
func NewLogger(w io.Writer, level slog.Leveler) *slog.Logger {
	if ok, err := journal.StderrIsJournalStream(); ok && err == nil && journal.Enabled() {
		return slog.New(&journalHandler{name: filepath.Base(os.Args[0]), level: level, send: journal.Send})
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
}

// journalHandler is a slog.Handler over the journal's native protocol:
// attributes become fields, groups prefixes, levels priorities.
type journalHandler struct {
	name   string
	level  slog.Leveler
	send   func(message string, p journal.Priority, fields map[string]string) error
	attrs  []slog.Attr // already carry their groups in the key
	prefix string      // of the open groups, with a trailing _
}

func (h *journalHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level.Level() }

func (h *journalHandler) Handle(_ context.Context, r slog.Record) error {
	fields := map[string]string{"SYSLOG_IDENTIFIER": h.name}
	var text strings.Builder
	text.WriteString(r.Message)
	put := func(key string, v slog.Value) {
		fields[fieldName(key)] = v.String()
		text.WriteString(" " + key + "=" + v.String())
	}
	for _, a := range h.attrs {
		flatten("", a, put)
	}
	r.Attrs(func(a slog.Attr) bool {
		flatten(h.prefix, a, put)
		return true
	})
	return h.send(text.String(), priority(r.Level), fields)
}

func (h *journalHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	n := *h
	n.attrs = append([]slog.Attr(nil), h.attrs...)
	for _, a := range attrs {
		flatten(h.prefix, a, func(key string, v slog.Value) {
			n.attrs = append(n.attrs, slog.Attr{Key: key, Value: v})
		})
	}
	return &n
}

func (h *journalHandler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	n := *h
	n.prefix += name + "_"
	return &n
}

// flatten calls put for every leaf of an attribute.
func flatten(prefix string, a slog.Attr, put func(key string, v slog.Value)) {
	v := a.Value.Resolve()
	if v.Kind() != slog.KindGroup {
		if a.Key != "" {
			put(prefix+a.Key, v)
		}
		return
	}
	if a.Key != "" {
		prefix += a.Key + "_"
	}
	for _, m := range v.Group() {
		flatten(prefix, m, put)
	}
}

// fieldName makes a journal field of a key: upper case letters, digits and _,
// not starting with _ or a digit, at most 64 characters.
func fieldName(key string) string {
	b := []byte("LINESIDE_")
	for _, c := range []byte(strings.ToUpper(key)) {
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			c = '_'
		}
		b = append(b, c)
	}
	return string(b[:min(len(b), 64)])
}

func priority(l slog.Level) journal.Priority {
	switch {
	case l >= slog.LevelError:
		return journal.PriErr
	case l >= slog.LevelWarn:
		return journal.PriWarning
	case l >= slog.LevelInfo:
		return journal.PriInfo
	}
	return journal.PriDebug
}
