#!/bin/sh
# Builds heapspy, profiles the sample server under load, and shows what grew.
# Needs Debian 12; installs missing packages as root or with sudo.
set -eu

cd "$(dirname "$0")/.."
root=$(pwd)
library=build/preload/libheapspy.so
heapspy=build/analyzer/heapspy
seconds=15
server=

stop_server() {
	[ -n "$server" ] || return 0
	kill "$server" 2>/dev/null || true
	wait "$server" 2>/dev/null && code=0 || code=$?
	server=
	return "$code"
}
trap 'stop_server || true' EXIT
trap 'exit 130' INT TERM HUP

step() {
	printf '\n== %s\n' "$1"
}

fail() {
	echo "demo: $1" >&2
	exit 1
}

step "Build, into $root/build"
tests/install-packages.sh build
log=$(mktemp)
if ! { [ -f build/build.ninja ] || meson setup build; } >"$log" 2>&1 ||
	! ninja -C build "${library#build/}" "${heapspy#build/}" samples/server samples/load \
		>>"$log" 2>&1; then
	tail -n 30 "$log" >&2
	rm -f "$log"
	fail "the build failed"
fi
rm -f "$log"
echo "done: $library and $heapspy"

step "A server under load, profiled for $seconds s"
run=$(mktemp -d "${TMPDIR:-/tmp}/heapspy-demo.XXXXXX")
echo "\$ $heapspy run --interval 1s --dir $run/server -- build/samples/server"
"$heapspy" run --interval 1s --dir "$run/server" -- build/samples/server >"$run/server.log" &
server=$!
port=
for _ in $(seq 100); do
	port=$(sed -n 's/^listening on .*:\([0-9]*\)$/\1/p' "$run/server.log")
	[ -z "$port" ] || break
	kill -0 "$server" 2>/dev/null || fail "the server did not start; see $run/server.log"
	sleep 0.1
done
[ -n "$port" ] || fail "the server did not say its port; see $run/server.log"
build/samples/load "$port" "$seconds" || fail "the load was not answered"
stop_server || fail "the server ended with code $?"
tail -n 1 "$run/server.log"

step "What grew from the sixth second on?"
echo "\$ $heapspy diff $run/server@6s $run/server"
"$heapspy" diff "$run/server@6s" "$run/server" | tee "$run/diff.txt"

step "Is it a leak?"
echo "\$ $heapspy trend $run/server"
"$heapspy" trend "$run/server"

step "How to read it"
cat <<TEXT
Every login opened a session that nothing closes: session_create (samples/server/session.c)
is the row to find at the top. Sizes are estimates from samples; the true figure lies in the
95 % range in 95 of 100 cases, and rows are sorted by the lower end of that range.
cache_put fills its 32 MiB within the first seconds and stays, parse_request frees what it takes:
neither has grown since. From @1 on the cache has, which is growth and no leak: trend tells one
from the other by what became of old blocks.
TEXT
if ! grep -q session_create "$run/diff.txt"; then
	fail "the leak is not in the diff above"
fi

printf '\nThe snapshots may be removed: rm -r %s\n' "'$run'"
