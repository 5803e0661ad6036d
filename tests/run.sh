#!/bin/bash
# All tests with all their set-up. The last line is "N passed, N failed[, N skipped]".
#
#     tests/run.sh [--slow]      --slow: the long tortures as well
#
# Builds: build/ gcc, build-clang/ clang, build-asan/ unit tests under ASan and UBSan, build-fuzz/
# the readers of snapshots and states by libFuzzer, a minute each.
# The exit status is 0 when nothing failed.
set -u

slow='not slow'
case "$#:${1-}" in
0:) ;;
1:--slow) slow='slow or not slow' ;;
*)
	echo "usage: tests/run.sh [--slow]" >&2
	exit 2
	;;
esac

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root" || exit 1
steps=$(mktemp)
trap 'rm -f "$steps"' EXIT
export MALLOC_PERTURB_=0 ASAN_OPTIONS=abort_on_error=0 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1

# step NAME COMMAND...: runs it quietly, shows its output when it fails, notes the result.
step() {
	local name=$1 log started=$SECONDS
	shift
	log=$(mktemp)
	if "$@" >"$log" 2>&1; then
		echo "ok   $name ($((SECONDS - started)) s)"
		printf 'passed\t%s\n' "$name" >>"$steps"
		rm -f "$log"
		return 0
	fi
	tail -n 60 "$log"
	echo "FAIL $name"
	printf 'failed\t%s\n' "$name" >>"$steps"
	rm -f "$log"
	return 1
}

# configure DIR [OPTION...]: for the first time, or anew.
configure() {
	local dir=$1
	shift
	if [ -f "$dir/build.ninja" ]; then
		meson configure "$dir" "$@"
	else
		meson setup "$dir" "$@"
	fi
}

# build DIR [OPTION...]: configures and compiles.
build() {
	configure "$@" && meson compile -C "$1"
}

build_fuzz() {
	configure build-fuzz -Dwerror=true -Db_sanitize=address,undefined -Db_lundef=false \
		-Dc_args=-fsanitize=fuzzer-no-link && meson compile -C build-fuzz fuzz_snapshot fuzz_state
}

# fuzz TARGET BYTES: inputs of up to so many bytes for a minute; prints one that it does not survive.
fuzz() {
	local work status input
	work=$(mktemp -d -p /dev/shm 2>/dev/null || mktemp -d) || return 1
	mkdir "$work/found"
	TMPDIR=$work ASAN_OPTIONS=abort_on_error=0:quarantine_size_mb=16:malloc_context_size=5 \
		"build-fuzz/tests/fuzz/fuzz_$1" -seed=1 -max_total_time=60 -timeout=60 -max_len="$2" \
		-print_final_stats=1 -artifact_prefix="$work/input-" "$work/found" "tests/fuzz/corpus/$1"
	status=$?
	for input in "$work"/input-*; do
		[ -f "$input" ] || continue
		echo "the input that did it: base64 -d <<'END' >input; build-fuzz/tests/fuzz/fuzz_$1 input"
		base64 "$input"
		echo END
	done
	rm -rf "$work"
	return "$status"
}

# unit NAME DIR: the TAP tests of one build; each prints a line, failures print everything.
unit() {
	local name=$1 dir=$2 started=$SECONDS
	rm -f "$dir/meson-logs/testlog.junit.xml"
	if meson test -C "$dir" --print-errorlogs --suite unit >"$dir/unit.log" 2>&1; then
		echo "ok   $name ($((SECONDS - started)) s)"
	else
		cat "$dir/unit.log"
		echo "FAIL $name"
	fi
	results+=("$name=$dir/meson-logs/testlog.junit.xml")
}

results=()
step 'packages' tests/install-packages.sh build test

if step 'build with gcc, warnings as errors' build build -Dwerror=true; then
	unit 'unit tests, gcc' build
	suites=()
	for suite in tests/preload tests/checks tests/cli tests/real; do
		[ -d "$suite" ] && suites+=("$suite")
	done
	rm -f build/pytest.junit.xml
	HEAPSPY_BUILD=$root/build /usr/bin/python3 -m pytest -c tests/pytest.ini -m "$slow" \
		--junitxml=build/pytest.junit.xml "${suites[@]}"
	results+=("whole-program tests=build/pytest.junit.xml")
fi
if CC=clang CXX=clang++ step 'build with clang, warnings as errors' \
	build build-clang -Dwerror=true; then
	unit 'unit tests, clang' build-clang
fi
if step 'build with ASan and UBSan' \
	build build-asan -Dwerror=true -Db_sanitize=address,undefined -Db_lundef=false; then
	unit 'unit tests, ASan and UBSan' build-asan
fi
if CC=clang CXX=clang++ step 'build for libFuzzer' build_fuzz; then
	step 'fuzzed snapshots' fuzz snapshot 4096 &
	step 'fuzzed states' fuzz state 512 &
	wait
fi

/usr/bin/python3 tests/summary.py "$steps" "${results[@]}"
