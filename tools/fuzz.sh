#!/bin/sh
# Runs every fuzz target of a build directory, two at a time: tools/fuzz.sh BUILD [SECONDS].
# New inputs go to BUILD/corpus, findings to BUILD/findings.
set -eu
build=$1
seconds=${2:-${FUZZ_SECONDS:-300}}
mkdir -p "$build/findings"
export ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1
run_one() {
    name=$(basename "$1")
    parser=${name#fuzz_}
    seeds=tests/fuzz/corpus/$parser
    mkdir -p "$build/corpus/$parser"
    [ -d "$seeds" ] || seeds=""
    if "$1" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=4096 -print_final_stats=1 \
        -artifact_prefix="$build/findings/$parser-" "$build/corpus/$parser" $seeds \
        >"$build/$name.log" 2>&1; then
        echo "ok    $parser: $(grep -o 'stat::number_of_executed_units: *[0-9]*' "$build/$name.log" | tail -1 | grep -o '[0-9]*') runs in $seconds s"
    else
        echo "FOUND $parser: see $build/$name.log"
        return 1
    fi
}
if [ "${3:-}" = one ]; then
    run_one "$4"
    exit
fi
ls "$build"/fuzz_* | grep -v '\.log$' | xargs -P 2 -I{} "$0" "$build" "$seconds" one {}
