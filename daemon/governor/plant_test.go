package governor

import (
	"math"
	"math/rand/v2"
	"time"
)

// plant is a board as two thermal masses: the chip on its board or heat sink,
// and that in the cabinet's air. Its tokens per second rise with threads more
// slowly than its power, as memory bandwidth ends it.
type plant struct {
	name    string
	threads int
	limit   float64 // °C where the firmware steps in

	idle, perThread float64   // W
	chipR, sinkR    float64   // K/W: chip to sink, sink to air
	chipC, sinkC    float64   // J/K
	speed           []float64 // tokens/s with 0, 1, 2 … threads
}

// The plants are fitted to public figures: a bare Pi 5 at 11 to 12 W runs into
// its limit (81 °C average, 89 °C peak), with the Active Cooler it stays at 56 to 72 °C;
// llama3.2:3b gives 4.5 to 4.9 tokens/s there. The Orin Nano stays below its 99 °C
// trip in free air and not in a hot, tight cabinet.
var plants = []plant{
	{"Pi 5, bare", 4, 80, 3.0, 2.1, 1.6, 6.8, 4, 38, []float64{0, 2.2, 3.7, 4.4, 4.8}},
	{"Pi 5, Active Cooler", 4, 80, 3.0, 2.1, 1.5, 2.4, 4, 60, []float64{0, 2.2, 3.7, 4.4, 4.8}},
	{"Orin Nano", 6, 99, 5.0, 2.2, 0.8, 2.9, 12, 220, []float64{0, 3.4, 6.4, 9.0, 11.1, 12.6, 13.6}},
}

// load is what the plant floor asks for: a share of the time with work, in
// bursts of that length. A share of 1 never stops.
type load struct {
	name  string
	share float64
	burst time.Duration
	air   float64 // °C in the cabinet
	swing float64 // °C up and down over a day of 8 hours
}

var loads = []load{
	{"steady, 25 °C", 1, 0, 25, 0},
	{"steady, 40 °C", 1, 0, 40, 0},
	{"bursts, 35 °C", 0.5, 3 * time.Minute, 35, 0},
	{"steady, 25 to 45 °C", 1, 0, 35, 10},
}

func (l load) working(t time.Duration) bool {
	if l.share >= 1 {
		return true
	}
	return t%time.Duration(float64(l.burst)/l.share) < l.burst
}

func (l load) temp(t time.Duration) float64 {
	return l.air - l.swing*math.Cos(2*math.Pi*t.Hours()/8)
}

// point is one second of a run.
type point struct {
	temp, tokens float64 // °C, tokens/s
	threads      int
}

// outcome of hours of load.
type outcome struct {
	tokens, peak float64
	trace        []point
	rungs        []Rung // each change
	refused      int    // seconds
}

// sampleEvery is how often the daemon reads the board, in seconds.
const sampleEvery = 2

// run plays hours of load. choose gets the sensor's reading every two seconds and
// says threads and duty; the sensor has the noise of a real one.
func (p plant) run(l load, hours float64, choose func(at time.Time, sensor float64) (threads int, duty float64, admit bool)) outcome {
	rng := rand.New(rand.NewPCG(1, 2))
	sink := l.temp(0) + p.idle*p.sinkR
	chip := sink + p.idle*p.chipR
	var o outcome
	start := time.Unix(1_700_000_000, 0)
	n := int(hours * 3600)
	var threads int
	var duty float64
	var admit bool
	o.trace = make([]point, 0, n)
	for s := range n {
		t := time.Duration(s) * time.Second
		sensor := math.Round((chip+rng.NormFloat64()*0.25)/0.55) * 0.55 // steps of the Pi's sensor
		if s%sampleEvery == 0 {
			threads, duty, admit = choose(start.Add(t), sensor)
		}
		tokens, watts := 0.0, p.idle
		if l.working(t) && admit {
			tokens = p.speed[threads] * duty
			watts += p.perThread * float64(threads) * duty
		}
		if !admit {
			o.refused++
		}
		const dt = 0.1
		for range 10 {
			flow := (chip - sink) / p.chipR
			chip += (watts - flow) * dt / p.chipC
			sink += (flow - (sink-l.temp(t))/p.sinkR) * dt / p.sinkC
		}
		o.tokens += tokens
		o.peak = max(o.peak, chip)
		o.trace = append(o.trace, point{chip, tokens, threads})
	}
	return o
}

// governed runs the plant under the governor.
func (p plant) governed(l load, hours float64) outcome {
	c := Default(p.threads, 8<<30)
	var s State
	var rungs []Rung
	o := p.run(l, hours, func(at time.Time, sensor float64) (int, float64, bool) {
		d := Next(c, s, Input{At: at, Sensors: true, HeatOK: true, Temp: sensor, Limit: p.limit, Zone: "cpu-thermal",
			MemAvailable: math.NaN(), MemOurs: math.NaN(), MemStall: math.NaN()})
		s = d.State
		if len(rungs) == 0 || rungs[len(rungs)-1] != d.Rung {
			rungs = append(rungs, d.Rung)
		}
		return d.Threads, d.Duty, !d.Abort
	})
	o.rungs = rungs
	return o
}

// constant runs it at one setting.
func (p plant) constant(l load, hours float64, threads int, duty float64) outcome {
	return p.run(l, hours, func(time.Time, float64) (int, float64, bool) { return threads, duty, true })
}

// best searches the constant setting with the most tokens that never goes
// above top, in °C.
func (p plant) best(l load, hours, top float64) (threads int, duty float64, o outcome) {
	for n := 1; n <= p.threads; n++ {
		for d := 1.0; d >= 0.05; d -= 0.01 {
			r := p.constant(l, hours, n, d)
			if r.peak > top {
				continue
			}
			if r.tokens > o.tokens {
				threads, duty, o = n, d, r
			}
			break // less duty is fewer tokens
		}
	}
	return threads, duty, o
}
