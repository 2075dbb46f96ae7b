package licence

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"
	"unicode"
)

// Role is what a text is in a bundle.
type Role string

// Roles of texts.
const (
	Agreement Role = "licence"
	Policy    Role = "use-policy"
)

// Text is the identity of a licence text.
type Text struct {
	Licence ID   `json:"licence"`
	Role    Role `json:"role"`
}

// texts knows published texts by the SHA-256 of their normalised form, as Hash
// makes it. Those of the Llama family were made from LICENSE and USE_POLICY.md
// in meta-llama/llama-models@a9c89c4, Apache's from apache.org/licenses/LICENSE-2.0.txt.
// A test holds the table to the files where they lie at hand.
var texts = map[string]Text{
	"0041cbf32dd745e94b5e55633da11f8251367fddc44d9e60c71daf6c50c10fed": {Llama2, Agreement},
	"ba13cf2387b52d223f73042517a52deb9031ee49beaff0a66e98eb3a850e0e27": {Llama2, Policy},
	"f7460817996379f50c6b479f1d06f94ca19e2753be14d5aec4d0a52e512f98bb": {Llama3, Agreement},
	"3f32e8ce6d90f3b8dc0dd77610d4b773b72a2d9b91c3446db130e6e1b8526787": {Llama3, Policy},
	"ee7f92951a56f77591bdbd70264f2a7fc510d19e9a60a43cede3eebc96681722": {Llama31, Agreement},
	"e202ed71efc1e0d20e4b4dcb7dc3adec3c077445f6add23243f4c504827a049a": {Llama31, Policy},
	"17402a2221cfaeae595aafcf00d0a88b5086faff25cde7862e87bbd49138db51": {Llama32, Agreement},
	"c6a06d8381e910444082457904e2d88cd19131b8bf0056e0ecbc11a3239eb43a": {Llama32, Policy},
	"9b93c5fbd34b2e639f491a66d392d2e4c75e1f2e6bf59f6aa1cbbf6ba5e25fbc": {Llama33, Agreement},
	"2ca73eeda317230ba727fd5b950d6ea5831647f1be351c540760ac5e001caafc": {Llama33, Policy},
	"c85dd719ddfe73831174974c4d9a3666f18f43ceb1f5d8284fed94d492da3663": {Llama4, Agreement},
	"15bfb6ff03f226e68475e6bd9027d46171f612cc531a62d18beea3f56ff984d6": {Llama4, Policy},
	"09ae9bf1886f530f7338889ef805f37b288ec6adedd1e1e32058921acf05a782": {Apache20, Agreement}, // up to the end of its terms
}

// Identify finds out which published text this is, if it is one, whatever its
// line breaks, Markdown and quotes.
func Identify(text []byte) (Text, bool) {
	t, ok := texts[Hash(text)]
	if !ok { // Apache's appendix is a form that some copies fill in and others lack
		terms, _, _ := strings.Cut(Normalise(string(text)), "END OF TERMS AND CONDITIONS")
		t, ok = texts[Hash([]byte(terms))]
	}
	return t, ok
}

// Hash is the SHA-256 of a text's normalised form, in hex.
func Hash(text []byte) string {
	sum := sha256.Sum256([]byte(Normalise(string(text))))
	return hex.EncodeToString(sum[:])
}

var (
	link     = regexp.MustCompile(`\[([^\[\]]*)\]\(([^()\s]*)\)`)
	autolink = regexp.MustCompile(`<(https?://[^<>\s]+)>`)
)

// Normalise takes out of a text what copies of it differ in: white space, Markdown
// marks and links, bullets, and the form of quotes and dashes. Words, numbers
// and their order stay.
func Normalise(text string) string {
	text = autolink.ReplaceAllString(text, "$1")
	text = link.ReplaceAllStringFunc(text, func(s string) string {
		m := link.FindStringSubmatch(s)
		if strings.TrimSpace(m[1]) == m[2] {
			return m[2]
		}
		return m[1] + " " + m[2]
	})
	text = strings.Map(func(r rune) rune {
		switch r {
		case '“', '”', '„', '«', '»':
			return '"'
		case '‘', '’', '‚', '`', '´':
			return '\''
		case '–', '—', '‐', '‑':
			return '-'
		case '*', '_', '#', '\\', '\ufeff', '\u200b', '\u00ad':
			return -1
		case '•', '·':
			return ' '
		}
		if unicode.IsSpace(r) {
			return ' '
		}
		return r
	}, text)
	var words []string
	for _, w := range strings.Fields(text) {
		if w != "-" && w != "+" && w != ">" { // bullets and quote marks
			words = append(words, w)
		}
	}
	return strings.Join(words, " ")
}
