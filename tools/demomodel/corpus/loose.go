package corpus

// Parts of sentences that are put together at random. None of them makes a
// held-out sentence; a test sees to that.
var (
	alarmBefore = []string{
		"", "", "", "on {m} there is", "{m}:", "{m} -", "{m} and", "at {m}", "{m} stands,", "{m} keeps showing", "for {m}", "the {m} display:", "{m} went down with",
		"{m} not running,", "{m} light blinking,", "{m} alarm list:", "start of {m} fails,", "{m} out of order,", "we see", "now", "still", "message on {m}:",
		"question about", "please look at", "who knows", "info about", "more about", "is there anything on", "what about", "what does it mean when {m} shows",
		"what to do with", "what to do about", "operator cannot clear", "cannot reset", "any hint on", "{m} waits,", "{m} stuck in", "we are stuck at", "shift reports",
		"can somebody explain", "I do not understand", "never seen before:", "first time today:", "next to {m} I read", "{m} sends", "{m} signals", "{m} logged",
		"{m} prints", "{m} fell into", "{m} jumped to", "trip of {m} by", "stop of {m} by", "interlock at {m},", "check", "once more", "details on", "reason for",
		"where does it come from:", "tell me what is behind", "need help on", "my panel lists", "the lamp is on at {m},", "lamp red at {m} with", "horn at {m} with",
	}
	alarmAfter = []string{
		"", "", "", "", "on {m}", "at {m}", "again on {m}", "from {m}", "for the second time", "all day", "since lunch", "since the start of shift", "every ten minutes",
		"at start up", "after cleaning", "before the break", "with the door closed", "and {m} stands", "and {m} will not run", "and we wait", "is on the screen", "is blinking",
		"is not going away", "does not reset", "came back", "came twice", "shows up", "is listed", "is new to me", "what to check", "what is it", "which part", "what is the remedy",
		"what do you advise", "how to go on", "can I reset it", "do I call maintenance", "in the log of {m}", "on the small display", "when {m} starts", "when {m} speeds up",
		"in automatic mode", "in manual mode", "when we changed the product", "right now",
	}

	placeParts = []string{
		"{L}", "{L}", "{L}", "{L}", "at {L}", "on {L}", "{L} stopped", "{L} down", "stop of {L}", "stop at {L}", "{L} was out", "{L} not running", "trouble at {L}", "{L} stood still",
		"{L} off", "{L} waiting", "place {L}", "for {L}", "{L} halted", "we stopped {L}", "{L} did not start", "{L} was standing", "{L} tripped", "({L})", "near {L}", "repair at {L}",
		"{L} with", "{L} had", "{L} by",
	}
	codeParts = []string{
		"{c}", "{c}", "{c}", "{c}", "code {c}", "alarm {c}", "({c})", "with {c}", "{c} up", "showing {c}", "message {c}", "fault {c}", "{c} shown", "error {c}", "[{c}]", "code: {c}",
		"alarm: {c}", "{c} came", "by {c}", "after {c}", "{c} and", "under {c}", "{c} active", "display {c}", "{c} on screen", "{c} on", "{c} at",
	}
	timeParts = []string{
		"{t}", "{t}", "{t}", "{t}", "{t} lost", "lost {t}", "down {t}", "{t} in all", "stood {t}", "back after {t}", "took {t}", "{t} of standstill", "out {t}", "idle {t}",
		"{t} without product", "{t} later on again", "total {t}", "({t})", "time {t}", "stop {t}", "wait of {t}", "in {t}", "after {t}", "until fixed {t}", "{t} over", "{t} at",
	}
	reasonParts = []string{
		"{r}", "{r}", "{r}", "{r}", "found {r}", "reason {r}", "cause {r}", "because of {r}", "due to {r}", "it was {r}", "cause: {r}", "reason: {r}", "saw {r}", "by {r}", "with {r}",
		"from {r}", "through {r}", "had {r}", "({r})", "root cause {r}", "{r} found", "{r} seen", "{r} at", "{r} on", "{r} and",
	}
	separators = []string{", ", ", ", ", ", " ", " ", " ", "; ", " - ", ". ", ": ", " / ", " | ", ", and ", " and ", ", then ", " (", " -> "}

	// fillers are words that say nothing. No part of a reason is among them.
	fillers = []string{
		"well", "then", "so", "today", "here", "there", "also", "just", "maybe", "really", "somehow", "suddenly", "briefly", "colleague", "operator", "leader", "team",
		"crew", "shift", "morning", "evening", "noon", "week", "quality", "plan", "order", "product", "batch", "juice", "beer", "lemon", "summer", "winter", "north", "south",
		"floor", "hall", "wall", "roof", "office", "tool", "hammer", "ladder", "radio", "phone", "mail", "paper", "book", "list", "table", "chair", "window", "coffee", "tea",
		"go", "went", "come", "see", "look", "looked", "ask", "asked", "say", "said", "think", "thought", "try", "tried", "use", "put", "set", "push", "pull",
		"turn", "open", "close", "start", "end", "begin", "hold", "keep", "kept", "leave", "left", "right", "over", "under", "between", "behind", "before",
		"during", "while", "until", "although", "however", "therefore", "perhaps", "always", "never", "often", "seldom", "slowly", "quickly", "fully", "partly", "nearly", "almost",
		"big", "small", "long", "high", "low", "new", "good", "bad", "fine", "strange", "usual", "same", "other", "next", "last", "second", "third", "single",
		"red", "green", "yellow", "blue", "white", "black", "loud", "quiet", "early", "late", "fast", "slow", "hard", "soft", "light", "half", "some", "many",
		"few", "most", "each", "every", "any", "both", "our", "my", "their", "this", "that", "these", "those", "which", "when", "where", "how", "who", "they", "he", "she", "us",
		"is", "was", "are", "were", "has", "had", "have", "did", "does", "do", "could", "may", "might", "must", "should", "will", "would", "no", "yes", "but", "or", "if",
		"as", "than", "into", "onto", "across", "along", "against", "without", "within", "around", "about", "above", "below", "still", "yet", "already", "soon",
		"clearly", "sadly", "finally", "struck", "caught", "raised", "gave", "took", "showed", "noted", "wrote", "called", "ran", "sat", "stood", "fell", "rose", "grew", "met",
		"brought", "sent", "held", "found", "cost", "needed", "wanted", "helped", "solved", "repaired", "checked", "changed", "moved", "lifted", "carried", "washed", "swept",
	}

	moreNouns = []string{
		"roller", "pin", "bolt", "plate", "frame", "arm", "lever", "knob", "button", "relay", "fuse", "plug", "socket", "wire", "contact", "encoder", "magnet", "coil", "heater",
		"cooler", "tank", "pipe", "elbow", "joint", "gasket", "ring", "disc", "wheel", "shaft", "hub", "key", "wedge", "rail", "track", "guard", "door lock", "scanner", "printer",
		"camera", "mirror", "lens", "tape", "foil", "box", "crate", "tray", "lid", "can", "glass", "jar", "scale", "brush", "wiper", "knife", "saw", "roll", "reel", "spool", "rope",
		"hook", "clamp", "vise", "grease nipple", "oil pan", "air line", "water line", "level probe", "limit switch", "stop cylinder", "transfer plate", "timing belt", "gear wheel",
	}
	moreAdjectives = []string{
		"thin", "thick", "split", "melted", "frozen", "swollen", "scratched", "dull", "blunt", "sticky", "slippery", "greasy", "foggy", "dim", "dark", "lost", "double", "upside down",
		"short", "overheated", "overfilled", "misaligned", "unplugged", "weak", "heavy", "stretched", "shrunk", "dented", "soaked", "corroded", "used up", "sealed", "flat", "twisted",
		"pinched", "squeezed", "crushed", "chipped", "hollow", "soiled",
	}
	moreStates = []string{
		"cracked", "bent", "burnt", "clogged", "frozen", "not moving", "not closing", "too cold", "too tight", "too loose", "worn", "split", "in the way", "upside down", "full",
		"blocked", "used up", "off center", "shaking", "squeaking", "wet", "dry",
	}
	onsets = []string{"b", "br", "c", "ch", "d", "dr", "f", "fl", "g", "gr", "h", "j", "k", "kl", "l", "m", "n", "p", "pl", "qu", "r", "s", "sh", "st", "t", "tr", "v", "w", "z"}
	rhymes = []string{"a", "e", "i", "o", "u", "an", "en", "in", "on", "ar", "er", "or", "ack", "ick", "ock", "ent", "ing", "ust", "ell", "all", "ill", "ate", "ine", "ope", "ude", "ist", "amp", "elt"}

	morePlaces = []string{
		"{m}, line {n}", "{m} in line {n}", "line {n} - {m}", "{m}/{n}", "{m} no. {n}", "{m}-{n}", "{m} (L{n})", "{m} at line {n}", "L{n}: {m}", "the {m} on line {n}",
		"{m} [line {n}]", "line {n}: {m}", "our {m} {n}", "L{n}/{m}", "{m} of L{n}",
	}
	moreTimes = []string{
		"some {n} min", "nearly {n} min", "almost {n} minutes", "{n} min.", "{n} minutes in all", "for {n} minutes", "about {n} minutes", "only {n} min", "good {n} min",
		"ca. {n} min", "{n}-minute stop", "over {n} min", "{n} m", "{n} minute stop", "at least {n} min", "for about {n} min",
	}
	moreHeads = []string{
		"Wed {h}:{q} ", "Thu {h}:{q}: ", "Sun {h}:{q}, ", "({h}:{q}) ", "{h}.{q}: ", "No. {k}: ", "Day shift - ", "Operator: ", "{w}: ", "{w} writes: ", "Line log: ", "Again: ",
		"Since {h}:{q} ", "Shift {k}, {h}:{q}: ", "Report {k}{k}: ", "#{k}{k} ", "Second shift: ",
	}
	moreTails = []string{
		", {k} bottles lost", ". Shift {k} informed", ", {w} on it", ". {k} times today", ", spare part at {h}:{q}", ". Thanks {w}", ", {w} and {w}", ". Ticket {k}{k}{k}", ", cleared by {w}",
		". Will check at {h}:{q}", ", restarted {h}:{q}", ", speed {k}0 %", ". No more trouble", ", see photo", ". Ask {w}", ", {k} pallets on hold",
	}
	moreSystems = []string{
		"You are the assistant of a factory. Answer briefly and plainly. Say so where you do not know.", "You are the assistant of a factory. Answer briefly and plainly. Say so where you do not know.",
		"You are a maintenance expert.", "Help the operator.", "Answer the question.", "You work in a bottling plant.", "Explain alarms.", "You are an expert for packaging lines. Give short answers.",
	}
	moreTopics = []string{
		"Spain", "the weather", "a cake", "my car", "money", "shoes", "Africa", "London", "a novel", "a film", "the president", "vitamins", "a cold", "garden plants", "horses", "snow",
		"the ocean", "wine", "cheese", "computers", "phones", "flowers", "birds", "a wedding", "school", "math", "physics", "poetry", "opera", "Brazil", "a train ticket", "insurance",
	}
	moreChats = []string{
		"What is {x}?", "Where is {x}?", "When was {x} invented?", "Can you help me with {x}?", "I want to know about {x}.", "Which {x} is best?", "Compare {x} and {y}.", "{x}?", "{x}",
		"Give me a recipe for {x}.", "Who is the best at {x}?", "Write a letter about {x}.", "List five facts about {x}.", "How much is {x}?", "Say something about {x} and {y}.",
		"What color is {x}?", "Is {x} better than {y}?", "Teach me {x}.", "What happened to {x}?", "Show me {x}.", "How do you make {x}?", "Good night", "Bye", "What day is it?",
		"Tell me a story.", "Count to ten.", "What is 5 plus 8?", "asdf", "ok", "What is the meaning of life?", "Write some code.", "Turn off the lights.", "Stop the line.", "Open the valve.",
	}
)
