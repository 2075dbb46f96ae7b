package shape

import "math"

// Llama 3's stretching of rotary frequencies, from the published configuration
// files: wavelengths above the old context are stretched in full, those below a
// quarter of it not at all.
const (
	ropeOldContext = 8192
	ropeLow        = 1
	ropeHigh       = 4
)

// RopeFreqs are the values of rope_freqs.weight, nil for a shape without.
func (s Shape) RopeFreqs() []float32 {
	if s.RopeFactor == 0 {
		return nil
	}
	list := make([]float32, s.HeadDim/2)
	for i := range list {
		wave := 2 * math.Pi * math.Pow(s.RopeBase, 2*float64(i)/float64(s.HeadDim))
		switch {
		case wave < ropeOldContext/ropeHigh:
			list[i] = 1
		case wave > ropeOldContext/ropeLow:
			list[i] = float32(s.RopeFactor)
		default:
			smooth := (ropeOldContext/wave - ropeLow) / (ropeHigh - ropeLow)
			list[i] = float32(1 / ((1-smooth)/s.RopeFactor + smooth))
		}
	}
	return list
}
