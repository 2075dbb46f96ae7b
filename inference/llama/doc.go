// Package llama runs one GGUF model through llama.cpp: it is the engine's real
// Runtime and Vocabulary, and the one package of the project that speaks C.
//
// llama.cpp comes compiled with github.com/ollama/ollama/llama, whose Go
// binding cannot share cells between sequences, abort a pass, keep threads,
// save state or free a context; a small C++ file beside this one reaches those.
// Whatever could make llama.cpp abort the process is checked in Go before the
// call, and C++ exceptions end in that file.
//
// It never opens a socket, never decides what to run, and never shows llama.cpp's
// own text to a user: that goes to slog at debug level. Built without cgo the
// package only says so.
package llama
