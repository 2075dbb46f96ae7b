package catalogue_test

import (
	"testing"

	"lineside/inference/model/catalogue"
	"lineside/inference/model/shape"
)

// TestPublishedFiles holds shapes and quantizer's rules to the sizes of files
// that publishers list: tensor bytes to the byte.
func TestPublishedFiles(t *testing.T) {
	tests := []struct {
		id      string
		mixture shape.Mixture
		file    uint64 // bytes of the published file
		tensors uint64
	}{
		{"llama-3.2-1b", shape.Q4_K_M, 807694464, 799862912},
		{"llama-3.2-1b", shape.Q8_0, 1321083008, 1313251456},
		{"llama-3.2-1b", shape.Q4_0Imx, 773025920, 765194368},
		{"llama-3.2-3b", shape.Q4_K_M, 2019377696, 2011539712},
		{"llama-3.2-3b", shape.Q5_K_M, 2322154016, 2314316032},
		{"llama-3.2-3b", shape.Q8_0, 3421899296, 3414061312},
		{"llama-3.2-3b", shape.F16, 6433687840, 6425850112},
		{"llama-3.1-8b", shape.Q4_K_M, 4920739232, 4912898304},
		{"llama-3.1-70b", shape.Q4_K_M, 42520398400, 42512531712},
		{"llama-2-7b", shape.Q4_K_M, 4081004224, 4080263168},
		{"mistral-7b-v0.1", shape.Q4_K_M, 4368439584, 4367704064},
		{"mistral-small-24b", shape.Q4_K_M, 14333908672, 14326026240},
		{"ministral-3-8b", shape.Q4_K_M, 5198911904, 5190500352},
		{"ministral-3-3b", shape.Q4_K_M, 2147023008, 2138615808},
	}
	for _, tt := range tests {
		m, err := catalogue.Find(tt.id)
		if err != nil {
			t.Fatal(err)
		}
		got := m.Shape.TensorBytes(tt.mixture)
		if got != tt.tensors {
			t.Errorf("%s %s: tensors of %d bytes, want %d", tt.id, tt.mixture, got, tt.tensors)
		}
		if off := float64(got+m.Header)/float64(tt.file) - 1; off < -0.02 || off > 0.02 {
			t.Errorf("%s %s: file of %d bytes, published are %d", tt.id, tt.mixture, got+m.Header, tt.file)
		}
	}
}

// TestParams holds shapes to the exact counts of parameters.
func TestParams(t *testing.T) {
	for id, want := range map[string]uint64{
		"llama-1-7b": 6738415616, "llama-1-13b": 13015864320, "llama-1-33b": 32528943616, "llama-1-65b": 65285660672,
		"llama-2-7b": 6738415616, "llama-2-13b": 13015864320, "llama-2-70b": 68976648192,
		"llama-3-8b": 8030261248, "llama-3-70b": 70553706496, "llama-3.1-8b": 8030261248, "llama-3.1-70b": 70553706496,
		"llama-3.1-405b": 405853388800, "llama-3.2-1b": 1235814400, "llama-3.2-3b": 3212749824, "llama-3.3-70b": 70553706496,
		"llama-4-scout": 107769861120, "llama-4-maverick": 400711848960,
		"mistral-7b-v0.1": 7241732096, "mistral-7b-v0.3": 7248023552, "ministral-8b-2410": 8019808256,
		"ministral-3-3b": 3429006336, "ministral-3-8b": 8489553920, "mistral-small-22b": 22247282688,
		"mistral-small-24b": 23572403200, "mixtral-8x7b": 46702792704,
	} {
		m, err := catalogue.Find(id)
		if err != nil {
			t.Fatal(err)
		}
		if m.Params != want {
			t.Errorf("%s has %d parameters, want %d", id, m.Params, want)
		}
	}
}

func TestKVBytes(t *testing.T) {
	for id, want := range map[string]uint64{
		"llama-1-33b": 1597440, "llama-2-7b": 524288, "llama-2-70b": 327680, "llama-3.1-8b": 131072, "llama-3.1-405b": 516096,
		"llama-3.2-1b": 32768, "llama-3.2-3b": 114688, "llama-4-scout": 196608, "ministral-8b-2410": 147456,
		"ministral-3-3b": 106496, "ministral-3-8b": 139264, "mistral-small-22b": 229376, "mistral-small-24b": 163840,
	} {
		m, err := catalogue.Find(id)
		if err != nil {
			t.Fatal(err)
		}
		if got := m.Shape.KVBytesPerToken(); got != want {
			t.Errorf("%s takes %d bytes a token, want %d", id, got, want)
		}
	}
}

func TestEveryEntryIsWhole(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range catalogue.Models() {
		if seen[m.ID] {
			t.Errorf("%s twice", m.ID)
		}
		seen[m.ID] = true
		if m.Name == "" || m.Released == "" || m.Licence == "" || m.Verdict == "" || len(m.Modalities) == 0 {
			t.Errorf("%s lacks something: %+v", m.ID, m)
		}
		if (m.Verdict == catalogue.Runs) != (m.Why == "") {
			t.Errorf("%s is %q because %q", m.ID, m.Verdict, m.Why)
		}
		if m.Verdict == catalogue.Runs && m.Arch() == "" {
			t.Errorf("%s runs without an architecture", m.ID)
		}
	}
	if _, err := catalogue.Find("llama-9"); err == nil {
		t.Error("found a model that is not there")
	}
}

func TestMatch(t *testing.T) {
	m, err := catalogue.Find("llama-3.3-70b")
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, x := range catalogue.Match(m.Shape) {
		ids = append(ids, x.ID)
	}
	if len(ids) != 3 || ids[0] != "llama-3.3-70b" || ids[2] != "llama-3-70b" {
		t.Errorf("the 70B form is that of %v", ids)
	}
	s := m.Shape
	s.Layers--
	if got := catalogue.Match(s); got != nil {
		t.Errorf("79 layers match %v", got)
	}
}
