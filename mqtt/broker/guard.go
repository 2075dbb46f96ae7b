package broker

import (
	"bytes"
	"crypto/tls"
	"strings"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// guard is mochi's door: it knows users and access list, and keeps packet ids apart.
type guard struct {
	mochi.HookBase
	broker *Broker
	ids    idKeeper
}

func (*guard) ID() string { return "lineside-access" }

func (*guard) Provides(b byte) bool {
	return bytes.Contains([]byte{mochi.OnConnectAuthenticate, mochi.OnACLCheck, mochi.OnPacketRead, mochi.OnPacketEncode, mochi.OnSessionEstablish, mochi.OnDisconnect}, []byte{b})
}

func (g *guard) OnPacketRead(cl *mochi.Client, pk packets.Packet) (packets.Packet, error) {
	return g.ids.in(cl, pk), nil
}

func (g *guard) OnPacketEncode(cl *mochi.Client, pk packets.Packet) packets.Packet {
	return g.ids.out(cl, pk)
}

// OnSessionEstablish waits until an older connection of the same client id is
// wholly gone. mochi 2.7.9 cleans up after it by client id, and where the new
// one comes meanwhile, takes the new one's subscriptions away.
func (g *guard) OnSessionEstablish(cl *mochi.Client, _ packets.Packet) {
	old, ok := g.broker.server.Clients.Get(cl.ID)
	if !ok || !cleans(old) {
		return
	}
	if !old.Closed() {
		_ = g.broker.server.DisconnectClient(old, packets.ErrSessionTakenOver) // it is closed all the same
	}
	tick, patience := time.NewTicker(time.Millisecond), time.After(2*time.Second)
	defer tick.Stop()
	for now, ok := g.broker.server.Clients.Get(cl.ID); ok && now == old; now, ok = g.broker.server.Clients.Get(cl.ID) {
		select {
		case <-tick.C:
		case <-patience:
			return
		}
	}
}

// cleans tells whether mochi forgets the client's session when it ends.
func cleans(cl *mochi.Client) bool {
	if cl.Properties.ProtocolVersion == 5 {
		return cl.Properties.Props.SessionExpiryInterval == 0
	}
	return cl.Properties.Clean
}

func (g *guard) OnDisconnect(cl *mochi.Client, _ error, _ bool) { g.ids.forget(cl) }

// OnConnectAuthenticate checks name and password or certificate, that nobody
// takes another's client id, and the will: mochi publishes wills unchecked.
func (g *guard) OnConnectAuthenticate(cl *mochi.Client, pk packets.Packet) bool {
	a := g.broker.access.Load()
	if a.anonymous {
		return true
	}
	user, why := g.identify(a, cl, pk)
	if why == "" && a.takesAnothersID(user, cl.ID) {
		why = "client id belongs to another user"
	}
	if why == "" && pk.Connect.WillFlag && !a.acl.allows(user, cl.ID, pk.Connect.WillTopic, true) {
		why = "will on a topic that the user may not write"
	}
	if why != "" {
		g.broker.cfg.Log.Warn("embedded broker refused a client", "why", why, "user", clip(user), "client_id", clip(cl.ID), "from", cl.Net.Remote)
		return false
	}
	return true
}

// identify finds out who connects. why says why nobody may.
func (g *guard) identify(a *access, cl *mochi.Client, pk packets.Packet) (user, why string) {
	if g.broker.cfg.ClientCAFile != "" {
		tc, ok := cl.Net.Conn.(*tls.Conn)
		if !ok || len(tc.ConnectionState().VerifiedChains) == 0 {
			return "", "no client certificate"
		}
		user = tc.ConnectionState().PeerCertificates[0].Subject.CommonName
		if user == "" {
			return "", "client certificate without a common name"
		}
		cl.Properties.Username = []byte(user) // what the ACL goes by, whatever the client said
		return user, ""
	}
	user = string(pk.Connect.Username)
	if !a.users.check(user, pk.Connect.Password) {
		return user, "wrong name or password"
	}
	return user, ""
}

// OnACLCheck is asked for every subscription (read, with wildcards), every
// message on its way to a client (read) and every publish (write).
func (g *guard) OnACLCheck(cl *mochi.Client, topic string, write bool) bool {
	a := g.broker.access.Load()
	if a.anonymous {
		return !strings.HasPrefix(topic, "$") || strings.HasPrefix(topic, "$share/") || !write
	}
	if !write {
		topic = unshare(topic)
	}
	return a.acl.allows(string(cl.Properties.Username), cl.ID, topic, write)
}

// unshare is the filter of a shared subscription, $share/{group}/{filter}.
func unshare(filter string) string {
	if rest, ok := strings.CutPrefix(filter, "$share/"); ok {
		_, filter, _ = strings.Cut(rest, "/")
	}
	return filter
}

func clip(s string) string {
	if len(s) > 64 {
		s = s[:64]
	}
	return strings.ToValidUTF8(s, "?")
}
