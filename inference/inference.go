// Package inference holds the words that the appliance uses for asking a
// language model: a request, its answer, its costs and its errors, and the
// client that speaks them over HTTP to lineside-engine or any other
// OpenAI-compatible server.
//
// It never loads a model, never decides who may ask, and links no C.
package inference

import (
	"encoding/json"
	"time"
)

// Roles of a message, as in the OpenAI chat API.
const (
	RoleSystem    = "system"
	RoleUser      = "user"
	RoleAssistant = "assistant"
)

// Message is one turn of a conversation.
type Message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// FormatKind says what shape an answer must have.
type FormatKind string

// The shapes an answer can be held to.
const (
	FormatText       FormatKind = "text"
	FormatJSONObject FormatKind = "json_object"
	FormatJSONSchema FormatKind = "json_schema"
	FormatGrammar    FormatKind = "grammar"
)

// Format holds an answer to a shape. The zero value is free text.
type Format struct {
	Kind    FormatKind
	Schema  json.RawMessage // JSON Schema, for FormatJSONSchema
	Grammar string          // GBNF, for FormatGrammar
}

// Sampling chooses how tokens are drawn. Temperature 0 is greedy, and then
// nothing else counts.
type Sampling struct {
	Temperature float32 // 0 to 2
	TopP        float32 // 0 to 1; 0 and 1 switch it off
	MinP        float32 // 0 to 1; 0 switches it off
	TopK        int     // 0 switches it off
	Seed        uint64  // the same seed draws the same tokens from the same logits
}

// Request is one ask to a model.
type Request struct {
	ID       string // names the ask in logs; chosen by the caller, need not be unique
	Client   string // who asks: fairness between clients follows it
	Priority int    // higher goes first; 0 is ordinary, 10 is an alarm

	Messages  []Message
	Format    Format
	Sampling  Sampling
	MaxTokens int       // most tokens to answer with; 0 means as many as fit
	Stop      []string  // texts that end the answer and are not part of it
	Deadline  time.Time // zero means none; past it the answer ends with FinishDeadline

	Deterministic bool // the same bytes whatever else runs, at the price of speed
	Pin           bool // keep this request's prefix (all but its last message) for later asks

	// Adapter names a LoRA adapter that the engine has loaded beside its model;
	// empty asks the model alone.
	Adapter string
}

// Finish says why an answer ended.
type Finish string

// Reasons for the end of an answer.
const (
	FinishStop      Finish = "stop"      // the model ended it, or a stop text did
	FinishLength    Finish = "length"    // MaxTokens or the context ended it
	FinishDeadline  Finish = "deadline"  // Request.Deadline ended it
	FinishCancelled Finish = "cancelled" // the caller ended it
)

// Usage counts tokens.
type Usage struct {
	Prompt     int // tokens of the prompt, cached ones included
	Cached     int // prompt tokens whose work was shared with an earlier ask
	Completion int // tokens of the answer
	Forced     int // answer tokens that the format left no choice about
	Drafted    int // answer tokens guessed from the prompt and put to the model
	Accepted   int // drafted tokens that the model agreed with
}

// Timings are the durations of one ask inside the engine.
type Timings struct {
	Queue time.Duration // waiting for a slot
	First time.Duration // from arrival to the first text
	Total time.Duration // from arrival to the end
}

// Result is a finished answer. Text is whole, also where it was streamed.
type Result struct {
	Text    string
	Finish  Finish
	Model   string // name of the model that answered
	Weights string // SHA-256 of its weights, where the caller knows it; not on the wire
	Usage   Usage
	Timings Timings
}
