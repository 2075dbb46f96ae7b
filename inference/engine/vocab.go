package engine

import "lineside/inference/constraint"

// vocab is the model's vocabulary with what the engine precomputes from it.
type vocab struct {
	Vocabulary
	pieces [][]byte
	ends   []int32 // tokens that end an answer
	tries  *constraint.Vocab
}

func newVocab(voc Vocabulary) *vocab {
	v := &vocab{Vocabulary: voc, pieces: make([][]byte, voc.Size())}
	for id := range int32(voc.Size()) {
		v.pieces[id] = voc.Piece(id)
		if voc.EndOfGeneration(id) {
			v.ends = append(v.ends, id)
		}
	}
	v.tries = constraint.NewVocab(v.pieces, v.ends)
	return v
}

// continuation splits text into tokens as it is split behind the token last,
// or on its own where last would have merged with it. last < 0 is none.
func (v *vocab) continuation(last int32, text []byte) ([]int32, error) {
	if len(text) == 0 {
		return nil, nil
	}
	if last >= 0 {
		ids, err := v.Tokenize(string(v.pieces[last])+string(text), false)
		if err != nil {
			return nil, err
		}
		if len(ids) > 1 && ids[0] == last {
			return ids[1:], nil
		}
	}
	return v.Tokenize(string(text), false)
}

func (v *vocab) isEnd(id int32) bool { return id >= 0 && v.EndOfGeneration(id) }
