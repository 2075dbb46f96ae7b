// Package mqtt is Lineside's wire: the topics, the payloads with their codes,
// and the connection to the broker, on MQTT 3.1.1 and 5 alike.
//
// It parses strictly and publishes through one function that refuses every
// topic a board has no business on. It never decides whether an ask is
// admitted, never queues or answers one, and never runs anything that a
// payload says. The contract it speaks is docs/mqtt/.
package mqtt
