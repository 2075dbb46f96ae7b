// Package lineside is the root of the appliance's source. It holds no code:
// ARCHITECTURE.md says where things are.
package lineside
