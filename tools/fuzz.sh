#!/bin/sh
# Runs every fuzz target of the module for $FUZZ (default 10s) each.
set -eu
cd "$(dirname "$0")/.."
export CGO_ENABLED=0
grep -rlE '^func Fuzz[A-Z]' --include='*_test.go' . | xargs -n1 dirname | sort -u | while read -r dir; do
	for target in $(grep -hoE '^func Fuzz[A-Za-z0-9_]+' "$dir"/*_test.go | sed 's/^func //' | sort -u); do
		printf '%-40s %s\n' "$dir" "$target"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZ:-10s}" "$dir" >/tmp/fuzz.$$ 2>&1 ||
			{ cat /tmp/fuzz.$$; rm -f /tmp/fuzz.$$; exit 1; }
	done
done
rm -f /tmp/fuzz.$$
