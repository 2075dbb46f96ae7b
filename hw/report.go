package hw

import (
	"math"
	"time"
)

// Report is a sample in the form that is written as JSON: by lineside hw and in
// the MQTT health message.
type Report struct {
	Board    Identity      `json:"board"`
	At       time.Time     `json:"at"`
	Readings []ReportValue `json:"readings"`
}

// ReportValue is one reading of a Report. Value is null where there is none or
// where it is without limit.
type ReportValue struct {
	ID      string   `json:"id"` // "temperature/cpu-thermal"
	Value   *float64 `json:"value"`
	Unit    string   `json:"unit,omitempty"`
	Text    string   `json:"text,omitempty"`
	High    float64  `json:"high,omitempty"`
	Crit    float64  `json:"crit,omitempty"`
	Quality string   `json:"quality"`
	AgeMS   int64    `json:"age_ms"`
	Reason  string   `json:"reason,omitempty"`
	Source  string   `json:"source"`
}

// NewReport makes a report of a sample as it stands at now.
func NewReport(id Identity, s *Sample, now time.Time) Report {
	r := Report{Board: id, At: s.At.UTC(), Readings: make([]ReportValue, len(s.Readings))}
	for i := range s.Readings {
		r.Readings[i] = s.Readings[i].value(now)
	}
	return r
}

func (r *Reading) value(now time.Time) ReportValue {
	v := ReportValue{
		ID: r.ID(), Unit: r.Kind.Unit(), Text: r.Text, High: r.High, Crit: r.Crit,
		Quality: r.Quality.String(), AgeMS: r.Age(now).Milliseconds(), Reason: r.Reason, Source: r.Source,
	}
	switch {
	case math.IsInf(r.Value, 1):
		v.Text = "no limit"
	case !math.IsNaN(r.Value):
		rounded := math.Round(r.Value*1e6) / 1e6 // 0.1 steps of a sensor, not of a float
		v.Value = &rounded
	}
	return v
}
