#!/bin/sh
# Starts the appliance with its own broker and the demo model, asks it what a
# factory would ask, shows the answers and stays until Ctrl-C (--once: then ends).
# What it needs is in bin: `make demo` builds it first.
set -eu
cd "$(dirname "$0")/.."
port=${DEMO_PORT:-}
if [ -z "$port" ]; then
	port=1883
	if bash -c '</dev/tcp/127.0.0.1/1883' 2>/dev/null; then
		port=18830
		echo "demo: another broker has port 1883, so this one takes $port"
	fi
fi
broker=mqtt://127.0.0.1:$port
log=$(mktemp)
daemon=
trap 'status=$?; [ -z "$daemon" ] || { kill "$daemon" 2>/dev/null; wait "$daemon" 2>/dev/null || true; }; rm -f "$log"; exit $status' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

bold= dim= plain=
if [ -t 1 ]; then bold=$(printf '\033[1m') dim=$(printf '\033[2m') plain=$(printf '\033[0m'); fi

bin/linesided --demo --engine bin/lineside-engine --listen "127.0.0.1:$port" >"$log" 2>&1 &
daemon=$!
tries=0
until grep -q 'the engine is ready' "$log"; do
	tries=$((tries + 1))
	if ! kill -0 "$daemon" 2>/dev/null || [ $tries -gt 300 ]; then
		echo "demo: the appliance did not start. It said:" >&2
		tail -n 5 "$log" >&2
		echo "demo: if port $port is taken, choose another one: make demo DEMO_PORT=18831" >&2
		exit 1
	fi
	sleep 0.1
done

cat <<EOT

${bold}Lineside is up${plain}: a board named "demo" with its own MQTT broker on 127.0.0.1:$port.
${dim}The built-in model is a demonstration: it knows a made-up bottling plant and nothing else.
Real work is done by Llama 3.2, see docs/models.md.${plain}
EOT

# ask TITLE ARGUMENTS...: shows the command, the answer, its code and timings.
ask() {
	title=$1
	shift
	printf '\n%s%s%s\n' "$bold" "$title" "$plain"
	out=$(bin/lineside ask --broker "$broker" "$@" 2>"$log.err") || { cat "$log.err" >&2; exit 1; }
	# A flat JSON answer reads better with a line for each field.
	printf '%s\n' "$out" | sed -e '/^{.*}$/{s/^{/{\n  /;s/,"/,\n  "/g;s/}$/\n}/;s/":/": /g;}' | sed 's/^/    /'
	grep -E '^[0-9]+ ' "$log.err" | sed "s/^/    $dim/; s/\$/$plain/"
	rm -f "$log.err"
}

ask 'A PLC reports an alarm:  {"code":"E301","value":11.4}' --skill alarm --args '{"code":"E301","value":11.4}'
ask 'A gateway wants a verdict as JSON:  E358 at 58 °C, 9.3 mm/s, load 84 %' --skill triage --args '{"code":"E358","temperature":58,"vibration":9.3,"load":84}'
ask 'A panel asks in words:  Labeler 1 shows E502. What should I do?' "Labeler 1 shows E502. What should I do?"
ask 'A code that this plant does not have:  E42' --skill alarm --args '{"code":"E42","value":71.3}'

cat <<EOT

${bold}Ask it yourself${plain}, from another terminal:

    bin/lineside ask --broker $broker "What is the set point for bowl pressure of filler 2?"
    bin/lineside ask --broker $broker --skill extract \\
        --args '{"entry":"Night shift: filler 2 stopped 14 min, E331, broken spring, fitter Novak came."}'

    mosquitto_sub -p $port -v -t 'llm/v1/reply/me/#' &
    mosquitto_pub -p $port -q 1 -t llm/v1/demo/ask/me/text -m '{"id":"1","prompt":"What does alarm E301 mean?"}'

EOT
[ "${1:-}" != --once ] || exit 0
echo "Running until Ctrl-C."
wait "$daemon"
