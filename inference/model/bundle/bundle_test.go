package bundle_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aead.dev/minisign"

	"lineside/inference/model/bundle"
	"lineside/inference/model/demo"
	"lineside/inference/model/gguf"
	"lineside/inference/model/licence"
	"lineside/inference/model/modeltest"
)

// zeroReader makes keys that are the same in every run.
type zeroReader byte

func (z zeroReader) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(z)
	}
	return len(p), nil
}

func key(t testing.TB, seed byte) (minisign.PublicKey, minisign.PrivateKey) {
	t.Helper()
	pub, priv, err := minisign.GenerateKey(zeroReader(seed))
	if err != nil {
		t.Fatal(err)
	}
	return pub, priv
}

var because = &bundle.Override{Reason: "made for a test", By: "A. Muster", Date: "2026-11-24"}

// source is a bundle in the making of a small Apache model.
func source(t testing.TB) bundle.Source {
	_, priv := key(t, 1)
	return bundle.Source{Weights: modeltest.Small(t, nil), Texts: modeltest.Apache(t), Name: "plant-helper", Origin: "a test",
		Override: because, Now: time.Unix(1_800_000_000, 0), Key: priv}
}

func build(t testing.TB, s bundle.Source) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "b")
	if _, err := bundle.Make(t.Context(), s, out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestMadeBundleIsSound(t *testing.T) {
	dir := build(t, source(t))
	b, err := bundle.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	pub, _ := key(t, 1)
	other, _ := key(t, 2)
	if trust, err := b.Verify([]minisign.PublicKey{other, pub}); trust != bundle.Owner || err != nil {
		t.Errorf("%s, %v", trust, err)
	}
	if trust, err := b.Verify([]minisign.PublicKey{other}); trust != bundle.Stranger || err != nil {
		t.Errorf("%s, %v", trust, err)
	}
	if b.Licence != licence.Apache20 || b.Name != "plant-helper" || len(b.Files) != 2 || b.Facts.Arch != "llama" {
		t.Errorf("%+v", b.Manifest)
	}
	findings, err := b.Judge()
	if err != nil || len(findings) != 1 || findings[0].Rule != bundle.RuleUnknown {
		t.Errorf("%v, %v", findings, err)
	}
}

// TestTampered changes one thing of a good bundle at a time.
func TestTampered(t *testing.T) {
	tests := []struct {
		name   string
		change func(t *testing.T, dir string)
		want   error
		says   string
	}{
		{"no manifest", func(t *testing.T, dir string) { os.Remove(dir + "/manifest.json") }, bundle.ErrManifest, "manifest.json"},
		{"empty manifest", edit("manifest.json", func(string) string { return "" }), bundle.ErrManifest, "EOF"},
		{"cut manifest", edit("manifest.json", func(s string) string { return s[:len(s)/2] }), bundle.ErrManifest, ""},
		{"two manifests", edit("manifest.json", func(s string) string { return s + s }), bundle.ErrManifest, "follows"},
		{"unknown field", edit("manifest.json", replace(`"format"`, `"colour": "red", "format"`)), bundle.ErrManifest, "colour"},
		{"later format", edit("manifest.json", replace(`"format": 1`, `"format": 2`)), bundle.ErrManifest, "update lineside"},
		{"path upwards", edit("manifest.json", replace(`"name": "LICENSE"`, `"name": "../LICENSE"`)), bundle.ErrManifest, "../LICENSE"},
		{"absolute path", edit("manifest.json", replace(`"name": "LICENSE"`, `"name": "/etc/shadow"`)), bundle.ErrManifest, "/etc/shadow"},
		{"hidden name", edit("manifest.json", replace(`"name": "LICENSE"`, `"name": ".LICENSE"`)), bundle.ErrManifest, ".LICENSE"},
		{"manifest lists itself", edit("manifest.json", replace(`"name": "LICENSE"`, `"name": "Manifest.JSON"`)), bundle.ErrManifest, "Manifest.JSON"},
		{"one name twice", edit("manifest.json", replace(`"name": "LICENSE"`, `"name": "PLANT-HELPER.gguf"`)), bundle.ErrManifest, "twice"},
		{"no hash", edit("manifest.json", replace(`"sha256": "`, `"sha256": "x`)), bundle.ErrManifest, "SHA-256"},
		{"negative size", edit("manifest.json", replace(`"bytes": `, `"bytes": -`)), bundle.ErrManifest, "bytes"},
		{"no licence", edit("manifest.json", replace(`"role": "licence"`, `"role": "notice"`)), bundle.ErrManifest, "licence"},
		{"unknown role", edit("manifest.json", replace(`"role": "licence"`, `"role": "script"`)), bundle.ErrManifest, "script"},
		{"override without reason", edit("manifest.json", replace("made for a test", " ")), bundle.ErrManifest, "reason"},
		{"serial 0", edit("manifest.json", replace(`"serial": 1800000000`, `"serial": 0`)), bundle.ErrManifest, "serial"},
		{"missing weights", func(t *testing.T, dir string) { os.Remove(dir + "/plant-helper.gguf") }, bundle.ErrContent, "plant-helper.gguf"},
		{"cut weights", func(t *testing.T, dir string) { os.Truncate(dir+"/plant-helper.gguf", 100) }, bundle.ErrContent, "100 bytes"},
		{"oversize weights", func(t *testing.T, dir string) { os.Truncate(dir+"/plant-helper.gguf", 1<<40) }, bundle.ErrContent, "copy the bundle again"},
		{"link out", func(t *testing.T, dir string) { link(t, dir, "/etc/hostname") }, bundle.ErrContent, "no regular file"},
		{"link inside", func(t *testing.T, dir string) { link(t, dir, "manifest.json") }, bundle.ErrContent, "no regular file"},
		{"folder for a file", func(t *testing.T, dir string) {
			os.Remove(dir + "/LICENSE")
			os.Mkdir(dir+"/LICENSE", 0o755)
		}, bundle.ErrContent, "no regular file"},
		{"manifest is a link", func(t *testing.T, dir string) {
			os.Rename(dir+"/manifest.json", dir+"/m")
			os.Symlink("m", dir+"/manifest.json")
		}, bundle.ErrManifest, "no regular file"},
		{"renamed weights", func(t *testing.T, dir string) { os.Rename(dir+"/plant-helper.gguf", dir+"/other.gguf") }, bundle.ErrContent, "plant-helper.gguf"},
		{"signature is a folder", func(t *testing.T, dir string) {
			os.Remove(dir + "/manifest.json.minisig")
			os.Mkdir(dir+"/manifest.json.minisig", 0o755)
		}, bundle.ErrSignature, "no regular file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := build(t, source(t))
			tt.change(t, dir)
			b, err := bundle.Open(dir)
			if err == nil {
				b.Close()
			}
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v, want %q with %q", err, tt.want, tt.says)
			}
		})
	}
}

func edit(name string, f func(string) string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		changed := f(string(b))
		if changed == string(b) {
			t.Fatal("the edit changes nothing")
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(changed), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func replace(from, to string) func(string) string {
	return func(s string) string { return strings.Replace(s, from, to, 1) }
}

func link(t *testing.T, dir, to string) {
	t.Helper()
	os.Remove(dir + "/LICENSE")
	if err := os.Symlink(to, dir+"/LICENSE"); err != nil {
		t.Fatal(err)
	}
}

func TestWrongSignature(t *testing.T) {
	pub, _ := key(t, 1)
	for name, change := range map[string]func(*testing.T, string){
		"manifest changed": edit("manifest.json", replace("a test", "elsewhere")),
		"comment changed":  edit("manifest.json.minisig", replace("plant-helper, serial", "plant-helper, serial 9")),
		"not a signature":  edit("manifest.json.minisig", func(string) string { return "signed, honestly" }),
		"signature of another": func(t *testing.T, dir string) {
			s := source(t)
			s.Origin = "elsewhere"
			modeltest.Copy(t, build(t, s)+"/manifest.json.minisig", dir+"/manifest.json.minisig")
		},
	} {
		dir := build(t, source(t))
		change(t, dir)
		b, err := bundle.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Verify([]minisign.PublicKey{pub}); !errors.Is(err, bundle.ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
		b.Close()
	}
	dir := build(t, source(t))
	os.Remove(dir + "/manifest.json.minisig")
	b, err := bundle.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if trust, err := b.Verify([]minisign.PublicKey{pub}); trust != bundle.Unsigned || err != nil {
		t.Errorf("%s, %v", trust, err)
	}
}

func TestChangedTextIsNoticed(t *testing.T) {
	dir := build(t, source(t))
	edit("LICENSE", replace("Licensed", "LICENSED"))(t, dir) // of the same length
	b, err := bundle.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if _, err := b.Judge(); !errors.Is(err, bundle.ErrContent) {
		t.Errorf("%v", err)
	}
}

// TestLicenceRules makes bundles of the exact form of Llama 3.2 1B.
func TestLicenceRules(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 240 MB for each case")
	}
	tests := []struct {
		name   string
		weight func(*gguf.Layout)
		source func(*testing.T, *bundle.Source)
		want   error // nil: fine
		says   string
	}{
		{"as it should be", nil, nil, nil, ""},
		{"notice missing", nil, func(t *testing.T, s *bundle.Source) {
			write(t, s.Texts+"/NOTICE", "All rights reserved, somewhere.")
		}, bundle.ErrContent, "1.b.iii"},
		{"policy missing", nil, func(t *testing.T, s *bundle.Source) { os.Remove(s.Texts + "/USE_POLICY.md") }, bundle.ErrContent, "USE_POLICY.md is missing"},
		{"policy of another", nil, func(t *testing.T, s *bundle.Source) {
			modeltest.Copy(t, modeltest.Texts(t, "llama3_1")+"/USE_POLICY.md", s.Texts+"/USE_POLICY.md")
		}, bundle.ErrContent, "not the use policy"},
		{"reworded licence", nil, func(t *testing.T, s *bundle.Source) {
			edit("LICENSE", replace("royalty-free", "royalty free"))(t, s.Texts)
		}, licence.ErrRefused, "licence-text"},
		{"licence of another generation", nil, func(t *testing.T, s *bundle.Source) { s.Texts = modeltest.Texts(t, "llama3_1") }, licence.ErrRefused, "relabelled"},
		{"relabelled as Apache", nil, func(t *testing.T, s *bundle.Source) { s.Texts = modeltest.Apache(t) }, licence.ErrRefused, "relabelled"},
		{"relabelled, with a reason", nil, func(t *testing.T, s *bundle.Source) {
			s.Texts, s.Override = modeltest.Apache(t), because
		}, nil, ""},
		{"calls itself mit", func(l *gguf.Layout) { l.Set("general.license", "mit") }, nil, licence.ErrRefused, `"mit"`},
		{"calls itself mit, with a reason", func(l *gguf.Layout) { l.Set("general.license", "mit") }, func(t *testing.T, s *bundle.Source) { s.Override = because }, nil, ""},
		{"another name", nil, func(t *testing.T, s *bundle.Source) { s.Name = "PlantGPT" }, licence.ErrRefused, "1.b.i(B)"},
		{"abliterated", func(l *gguf.Layout) { l.Set("general.name", "Llama 3.2 1B Abliterated") }, func(t *testing.T, s *bundle.Source) { s.Override = because }, licence.ErrRefused, "law.circumvent"},
		{"tagged uncensored", func(l *gguf.Layout) { l.Set("general.tags", []string{"chat", "uncensored"}) }, nil, licence.ErrRefused, "law.circumvent"},
		{"no licence at all", nil, func(t *testing.T, s *bundle.Source) { s.Texts = t.TempDir() }, os.ErrNotExist, "licence has to lie"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := source(t)
			s.Texts, s.Override, s.Name = modeltest.Texts(t, "llama3_2"), nil, "Llama-3.2-1B-Instruct"
			s.Weights = modeltest.Real(t, "llama-3.2-1b", tt.weight)
			if tt.source != nil {
				tt.source(t, &s)
			}
			out := filepath.Join(t.TempDir(), "b")
			_, err := bundle.Make(t.Context(), s, out)
			if tt.want == nil {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v, want %q with %q", err, tt.want, tt.says)
			}
			if left, _ := filepath.Glob(filepath.Join(filepath.Dir(out), "*")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// lora is an adapter file for attn_q of the small model, changed by the case.
func lora(t *testing.T, change func(*gguf.Layout)) string {
	var l gguf.Layout
	l.Set("general.architecture", "llama")
	l.Set("general.type", "adapter")
	l.Set("adapter.type", "lora")
	l.Set("adapter.lora.alpha", float32(16))
	change(&l)
	path := filepath.Join(t.TempDir(), "lora.gguf")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := l.WriteTo(f, modeltest.Zeros); err != nil {
		t.Fatal(err)
	}
	return path
}

func pair(name string, in, out, rank uint64) func(*gguf.Layout) {
	return func(l *gguf.Layout) {
		l.Add(name+".lora_a", gguf.F32, in, rank)
		l.Add(name+".lora_b", gguf.F32, rank, out)
	}
}

func TestAdapter(t *testing.T) {
	tests := []struct {
		name   string
		change func(*gguf.Layout)
		says   string // empty: fine
	}{
		{"fits", pair("blk.0.attn_q.weight", 32, 32, 4), ""},
		{"wrong width", pair("blk.0.attn_q.weight", 64, 32, 4), "the base's matrix is"},
		{"wrong output", pair("blk.0.attn_k.weight", 32, 32, 4), "the base's matrix is"},
		{"no such layer", pair("blk.7.attn_q.weight", 32, 32, 4), "no matrix blk.7"},
		{"half a pair", func(l *gguf.Layout) { l.Add("blk.0.attn_q.weight.lora_a", gguf.F32, 32, 4) }, "no partner"},
		{"empty", func(*gguf.Layout) {}, "no tensors"},
		{"a model", func(l *gguf.Layout) { l.Set("general.type", "model") }, "general.type"},
		{"ranks differ", func(l *gguf.Layout) {
			l.Add("blk.0.attn_q.weight.lora_a", gguf.F32, 32, 4)
			l.Add("blk.0.attn_q.weight.lora_b", gguf.F32, 8, 32)
		}, "ranks"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := source(t)
			s.Base, s.Weights = s.Weights, lora(t, tt.change)
			m, err := bundle.Make(t.Context(), s, filepath.Join(t.TempDir(), "b"))
			if tt.says != "" {
				if err == nil || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("%v, want %q", err, tt.says)
				}
				return
			}
			if err != nil || m.Kind != bundle.Adapter || len(m.Base.SHA256) != 64 {
				t.Errorf("%+v, %v", m, err)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	b, err := os.ReadFile(filepath.Join(build(f, source(f)), "manifest.json"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"format":1}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := bundle.Parse(b)
		if err != nil {
			return
		}
		for _, file := range m.Files {
			if filepath.Base(file.Name) != file.Name || strings.HasPrefix(file.Name, ".") {
				t.Fatalf("unsafe name %q", file.Name)
			}
		}
		again, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := bundle.Parse(again); err != nil {
			t.Fatalf("written back it is refused: %v", err)
		}
	})
}

// TestDemoIsKnown takes the program's own model without an override, by all of its bytes.
func TestDemoIsKnown(t *testing.T) {
	weights, err := demo.Write(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s := source(t)
	s.Weights, s.Override = weights, nil
	b, err := bundle.Open(build(t, s))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if findings, err := b.Judge(); err != nil || len(findings) > 0 {
		t.Errorf("%v, %v", findings, err)
	}
	raw, err := os.ReadFile(weights)
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)-1] ^= 1
	s.Weights = filepath.Join(t.TempDir(), "lineside-demo.gguf")
	if err := os.WriteFile(s.Weights, raw, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := bundle.Make(t.Context(), s, filepath.Join(t.TempDir(), "b")); !errors.Is(err, licence.ErrRefused) {
		t.Errorf("with one bit changed: %v", err)
	}
}
