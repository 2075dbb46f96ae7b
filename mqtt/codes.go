package mqtt

import "slices"

// Code is the number in every answer. A code is never reused for another
// meaning, so a PLC may switch on it for ever.
type Code int

// The codes of the API.
const (
	OK           Code = 0
	BadRequest   Code = 10
	UnknownSkill Code = 11
	BadArgs      Code = 12
	TooLarge     Code = 13
	Denied       Code = 14
	RateLimited  Code = 15
	IDConflict   Code = 16
	QueueFull    Code = 20
	Expired      Code = 21
	Deadline     Code = 22
	Cancelled    Code = 23
	Draining     Code = 24
	TooHot       Code = 30
	LowMemory    Code = 31
	NotReady     Code = 32
	Fault        Code = 33
	SchemaFailed Code = 34
	Internal     Code = 50
)

// CodeInfo explains one code.
type CodeInfo struct {
	Code    Code   `json:"code"`
	Name    string `json:"name"`
	Retry   bool   `json:"retry"` // answers carry retry_ms: come back after that
	Meaning string `json:"meaning"`
}

// codes is the table, ascending; nothing writes to it.
var codes = [...]CodeInfo{
	{OK, "ok", false, "answered"},
	{BadRequest, "bad_request", false, "the payload is no valid ask; text says why"},
	{UnknownSkill, "unknown_skill", false, "the board has no skill of that name"},
	{BadArgs, "bad_args", false, "the arguments do not fit the skill's schema"},
	{TooLarge, "too_large", false, "the ask or its answer is larger than the board's limit"},
	{Denied, "denied", false, "this client may not ask this"},
	{RateLimited, "rate_limited", true, "this client asks too often"},
	{IDConflict, "id_conflict", false, "this client used the id for another ask"},
	{QueueFull, "queue_full", true, "the queue has no place"},
	{Expired, "expired", false, "the ask had waited past its deadline when it arrived"},
	{Deadline, "deadline", false, "the deadline came before the answer was done"},
	{Cancelled, "cancelled", false, "the client cancelled the ask"},
	{Draining, "draining", true, "the board is being taken out of service"},
	{TooHot, "too_hot", true, "the board is too hot to take on work"},
	{LowMemory, "low_memory", true, "the board is short of memory"},
	{NotReady, "not_ready", true, "no model is loaded yet"},
	{Fault, "fault", false, "the ask failed the engine twice and is not tried again"},
	{SchemaFailed, "schema_failed", false, "no answer that fits the schema was found within the limits"},
	{Internal, "internal", false, "a fault of the board; its log says more"},
}

// Codes is the whole table, ascending. The slice is the caller's own.
func Codes() []CodeInfo { return slices.Clone(codes[:]) }

func (c Code) info() CodeInfo {
	for _, i := range codes {
		if i.Code == c {
			return i
		}
	}
	return CodeInfo{Code: c, Name: "unknown"}
}

// String is the code's name, the status field of an answer.
func (c Code) String() string { return c.info().Name }

// Retry tells whether answers with this code carry retry_ms.
func (c Code) Retry() bool { return c.info().Retry }
