package mqtt

import "sync/atomic"

// Stats counts since the start of the process.
type Stats struct {
	Received      uint64 // messages handed to the handler
	Published     uint64 // messages the broker took
	PublishFailed uint64 // Publish calls that failed, other than by topic
	OutsideTopic  uint64 // Publish calls to topics a board may not write: a bug, never a client's doing
	RetainedAsks  uint64 // asks and cancels dropped because they were retained
	BadTopics     uint64 // messages dropped because an id in their topic is malformed
	Reconnects    uint64 // connections after the first of each lane
	StaleStatus   uint64 // times somebody else said we are offline
	TakenOver     uint64 // times another client used our client id
}

// counters is Stats while it counts.
type counters struct {
	received, published, publishFailed, outsideTopic,
	retainedAsks, badTopics, reconnects, staleStatus, takenOver atomic.Uint64
}

func (c *counters) snapshot() Stats {
	return Stats{
		Received: c.received.Load(), Published: c.published.Load(), PublishFailed: c.publishFailed.Load(),
		OutsideTopic: c.outsideTopic.Load(), RetainedAsks: c.retainedAsks.Load(), BadTopics: c.badTopics.Load(),
		Reconnects: c.reconnects.Load(), StaleStatus: c.staleStatus.Load(), TakenOver: c.takenOver.Load(),
	}
}
