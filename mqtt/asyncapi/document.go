package asyncapi

import (
	"fmt"
	"strings"

	"lineside/mqtt"
)

// channel is one topic of the API, as a board sees it.
type channel struct {
	name    string
	address mqtt.Address // ids are the parameters' names in braces
	payload string
	receive bool // the board receives; else it sends
	qos     int
	retain  bool
	about   string
}

func channels() []channel {
	const board, client, skill, pool, operator, verb = "{board}", "{client}", "{skill}", "{pool}", "{operator}", "{verb}"
	return []channel{
		{"status", mqtt.Address{Kind: mqtt.KindStatus, Board: board}, "status", false, 1, true, "The board's state; also its will."},
		{"info", mqtt.Address{Kind: mqtt.KindInfo, Board: board}, "info", false, 1, true, "What the board is and can do."},
		{"skillCard", mqtt.Address{Kind: mqtt.KindSkill, Board: board, Skill: skill}, "skill", false, 1, true, "What one skill takes and answers."},
		{"health", mqtt.Address{Kind: mqtt.KindHealth, Board: board}, "health", false, 0, true, "The board's readings."},
		{"event", mqtt.Address{Kind: mqtt.KindEvent, Board: board}, "event", false, 1, false, "What happened on the board."},
		{"askText", mqtt.Address{Kind: mqtt.KindAskText, Board: board, Client: client}, "ask", true, 1, false, "A free prompt."},
		{"askSkill", mqtt.Address{Kind: mqtt.KindAskSkill, Board: board, Client: client, Skill: skill}, "ask", true, 1, false, "Arguments for a skill."},
		{"poolAskText", mqtt.Address{Kind: mqtt.KindAskText, Pool: pool, Client: client}, "ask", true, 1, false, "A free prompt to any board of a pool; boards share the subscription."},
		{"poolAskSkill", mqtt.Address{Kind: mqtt.KindAskSkill, Pool: pool, Client: client, Skill: skill}, "ask", true, 1, false, "Arguments for a skill, to any board of a pool; boards share the subscription."},
		{"cancel", mqtt.Address{Kind: mqtt.KindCancel, Board: board, Client: client}, "cancel", true, 0, false, "Ends the client's own ask."},
		{"poolCancel", mqtt.Address{Kind: mqtt.KindCancel, Pool: pool, Client: client}, "cancel", true, 0, false, "Ends the client's own ask to a pool; every board hears it."},
		{"answer", mqtt.Address{Kind: mqtt.KindAnswer, Board: board, Client: client}, "answer", false, 1, false, "Exactly one terminal message per ask."},
		{"ack", mqtt.Address{Kind: mqtt.KindAck, Board: board, Client: client}, "ack", false, 0, false, "Only where the ask says \"ack\":true."},
		{"chunk", mqtt.Address{Kind: mqtt.KindChunk, Board: board, Client: client}, "chunk", false, 0, false, "Only where the ask says \"stream\":true."},
		{"admin", mqtt.Address{Kind: mqtt.KindAdmin, Board: board, Client: operator, Verb: verb}, "admin", true, 1, false, "An operator's verb: " + strings.Join(mqtt.Verbs(), ", ") + ". Off unless the board is told otherwise."},
		{"adminReply", mqtt.Address{Kind: mqtt.KindAdminReply, Board: board, Client: operator}, "admin-answer", false, 1, false, "The verb's outcome."},
	}
}

// Document is the AsyncAPI 3.0 document of a board, indented JSON.
func Document() []byte {
	messages, schemas := map[string]any{}, map[string]any{}
	for _, p := range Payloads() {
		schemas[p.Name] = p.schema()
		messages[p.Name] = map[string]any{
			"name": p.Name, "summary": p.About, "contentType": "application/json",
			"payload": ref("components/schemas/" + p.Name),
		}
	}
	chans, ops := map[string]any{}, map[string]any{}
	for _, c := range channels() {
		address := "{prefix}/" + mqtt.Topics{}.Topic(c.address)
		parameters := map[string]any{}
		for _, part := range strings.Split(address, "/") {
			if name := strings.Trim(part, "{}"); name != part {
				parameters[name] = map[string]any{"description": parameter(name)}
			}
		}
		chans[c.name] = map[string]any{
			"address": address, "description": c.about, "parameters": parameters,
			"messages": map[string]any{c.payload: ref("components/messages/" + c.payload)},
		}
		action := "send"
		if c.receive {
			action = "receive"
		}
		ops[c.name] = map[string]any{
			"action": action, "summary": c.about, "channel": ref("channels/" + c.name),
			"bindings": map[string]any{"mqtt": map[string]any{"qos": c.qos, "retain": c.retain, "bindingVersion": "0.2.0"}},
		}
	}
	return indent(map[string]any{
		"asyncapi": "3.0.0",
		"info": map[string]any{
			"title": "Lineside", "version": fmt.Sprint(mqtt.Version),
			"description": "A board that answers factory devices over MQTT. {prefix} is 0 to 6 levels and may be missing together with its slash. " +
				"Ids are " + idWords + ". What the codes mean stands at x-codes.",
			"license": map[string]any{"name": "Apache-2.0"},
		},
		"defaultContentType": "application/json",
		"channels":           chans,
		"operations":         ops,
		"components":         map[string]any{"messages": messages, "schemas": schemas},
		"x-codes":            mqtt.Codes(),
	})
}

const idWords = "1 to 64 characters of A-Z a-z 0-9 _ . -"

func ref(path string) map[string]any { return map[string]any{"$ref": "#/" + path} }

func parameter(name string) string {
	switch name {
	case "prefix":
		return "0 to 6 levels of the plant's own; may be missing"
	case "board":
		return "the board's id, " + idWords + ", neither reply nor pool"
	case "client":
		return "the device's id, which the broker's access list vouches for, " + idWords
	case "operator":
		return "the operator's id, likewise, " + idWords
	case "verb":
		return "one of " + strings.Join(mqtt.Verbs(), ", ")
	}
	return "the " + name + "'s id, " + idWords
}
