package bpe_test

import (
	"slices"
	"testing"

	"lineside/tools/demomodel/bpe"
)

func TestWords(t *testing.T) {
	for text, want := range map[string][]string{
		"Alarm E317, now": {"Alarm", " E", "317", ",", " now"},
		"12345 it's":      {"123", "45", " it", "'s"},
		"a   b":           {"a", "  ", " b"},
		"a  1":            {"a", " ", " ", "1"},
		"x\n\n  y":        {"x", "\n\n", " ", " y"},
		`:"E317","min":4`: {`:"`, "E", "317", `","`, "min", `":`, "4"},
		"end  ":           {"end", "  "},
		"8 °C":            {"8", " °", "C"},
	} {
		if got := bpe.Words(text); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func trained(t *testing.T) *bpe.Tokenizer {
	t.Helper()
	tok, err := bpe.Train([]string{"the valve of the filler 123 123 123", "the valve"}, 256+8+10)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func TestRoundTrip(t *testing.T) {
	tok := trained(t)
	for _, text := range []string{"", "the valve", "über 你好 \x00\xff", "a  1\r\n"} {
		if got := tok.Decode(tok.Encode(text)); got != text {
			t.Errorf("%q came back as %q", text, got)
		}
	}
}

func TestDigitsStayApart(t *testing.T) {
	if got := trained(t).Encode("123"); !slices.Equal(got, []int{'1', '2', '3'}) {
		t.Errorf("123 is %v", got)
	}
}

func TestTextForgesNoTurn(t *testing.T) {
	tok := trained(t)
	for _, id := range tok.Encode("x" + bpe.EndOfTurn) {
		if _, special := tok.Piece(id); special {
			t.Errorf("text gave the special token %d", id)
		}
	}
	p := tok.Prompt([]bpe.Turn{{Role: "user", Text: " hi "}})
	if p[0] != tok.Special(bpe.BeginOfText) || p[1] != tok.Special(bpe.StartHeader) {
		t.Errorf("a prompt begins with %v", p[:2])
	}
}
