// Package wire is what a test and the agent inside its machine say to each other: one
// JSON value per line.
package wire

// Port is the name of the virtio-serial port between them.
const Port = "lineside.agent"

// Command asks the agent to run something.
type Command struct {
	ID    int    `json:"id"`              // from 1
	Shell string `json:"shell"`           // for sh -c
	Stdin []byte `json:"stdin,omitempty"` // its standard input
}

// Reply is a command's end, or with ID 0 the news that an agent has started.
type Reply struct {
	ID     int    `json:"id"`
	Boot   string `json:"boot,omitempty"` // the kernel's id of this boot
	Output []byte `json:"out,omitempty"`  // standard output and error, mixed
	Code   int    `json:"code,omitempty"` // exit code; -1: ended by a signal; 127: not started
}
