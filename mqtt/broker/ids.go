package broker

import (
	"math/rand/v2"
	"sync"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// idKeeper mends a fault of mochi 2.7.9, which keeps a client's packet ids and
// its own in one table. MQTT has them in two: a publish with id 1 from a client
// that has not yet acknowledged the broker's message 1 would delete that
// message, and a subscribe would be refused. So a client's id that is taken by
// the broker becomes a free one on its way in, and itself again on the way out.
// (QoS 2, which Lineside does not use, is left as it is.)
type idKeeper struct {
	swaps sync.Map // *mochi.Client → swap; one at a time, for mochi answers a packet before it reads the next
}

type swap struct{ theirs, ours uint16 }

func (k *idKeeper) in(cl *mochi.Client, pk packets.Packet) packets.Packet {
	switch t := pk.FixedHeader.Type; {
	case t == packets.Publish && pk.FixedHeader.Qos == 1, t == packets.Subscribe, t == packets.Unsubscribe:
	default:
		return pk
	}
	if pk.PacketID == 0 || !taken(cl, pk.PacketID) {
		return pk
	}
	for range 1000 {
		if id := uint16(1 + rand.IntN(65535)); !taken(cl, id) {
			k.swaps.Store(cl, swap{theirs: pk.PacketID, ours: id})
			pk.PacketID = id
			return pk
		}
	}
	return pk // tens of thousands are in flight, which the limits do not allow
}

func (k *idKeeper) out(cl *mochi.Client, pk packets.Packet) packets.Packet {
	switch pk.FixedHeader.Type {
	case packets.Puback, packets.Suback, packets.Unsuback:
	default:
		return pk
	}
	if s, ok := k.swaps.Load(cl); ok && s.(swap).ours == pk.PacketID {
		k.swaps.Delete(cl)
		pk.PacketID = s.(swap).theirs
	}
	return pk
}

func (k *idKeeper) forget(cl *mochi.Client) { k.swaps.Delete(cl) }

func taken(cl *mochi.Client, id uint16) bool {
	_, ok := cl.State.Inflight.Get(id)
	return ok
}
