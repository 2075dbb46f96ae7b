package enginetest_test

import (
	"testing"

	"lineside/inference/engine"
	"lineside/inference/engine/enginetest"
)

func TestFakeRuntime(t *testing.T) {
	enginetest.TestRuntime(t, func(*testing.T) (engine.Runtime, engine.Vocabulary) {
		voc := enginetest.NewVocabulary()
		return enginetest.New(voc, enginetest.Config{Cells: 256}), voc
	})
}

func TestFakeVocabulary(t *testing.T) {
	voc := enginetest.NewVocabulary()
	enginetest.TestVocabulary(t, voc)
	ids, _ := voc.Tokenize("a"+enginetest.EOT, true)
	if len(ids) != 2 || !voc.EndOfGeneration(ids[1]) {
		t.Errorf("special token as %v", ids)
	}
	ids, _ = voc.Tokenize(enginetest.EOT, false)
	for _, id := range ids {
		if voc.EndOfGeneration(id) {
			t.Error("text of a user became a special token")
		}
	}
}
