#!/bin/sh
# Runs the fuzz targets of a build directory, two at a time: tools/fuzz.sh BUILD [SECONDS], each for
# FUZZ_SECONDS (10) unless said. FUZZ_TARGETS="exchange uri" runs only those. New inputs go to
# BUILD/corpus, what was found to BUILD/findings, and is shown. Ends with 1 if anything was found.
# FUZZ_FLAGS go to libFuzzer: -seed=1 tries the same again.
set -eu
build=$1
seconds=${2:-${FUZZ_SECONDS:-10}}
[ "$seconds" -gt 0 ] || { echo "fuzz: how many seconds?" >&2; exit 2; }
export ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1

options_of() {
    case $1 in
    exchange) echo "-max_len=800 -entropic=0" ;; # many features: counting how rare each is takes longer than the runs
    *) echo "" ;;
    esac
}

# The log's end, and the input, small enough to be copied from a screen.
show() {
    echo "FOUND $1: the end of $build/fuzz_$1.log"
    grep -a -v -e '^#' -e NEW_FUNC "$build/fuzz_$1.log" | tail -n 60
    for input in "$build/findings/$1-"*; do
        [ -f "$input" ] || continue
        echo "--- $input (base64 of its first 4 KiB)"
        head -c 4096 "$input" | base64
    done
}

run_one() {
    parser=${1##*/fuzz_}
    log=$build/fuzz_$parser.log
    seeds=tests/fuzz/corpus/$parser
    mkdir -p "$build/corpus/$parser" "$build/findings"
    [ -d "$seeds" ] || seeds=""
    began=$(date +%s)
    # shellcheck disable=SC2046,SC2086
    if nice "$1" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 \
        $(options_of "$parser") ${FUZZ_FLAGS:-} -artifact_prefix="$build/findings/$parser-" \
        "$build/corpus/$parser" $seeds >"$log" 2>&1; then
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -n 1)
        echo "ok    $parser: $runs runs in $(($(date +%s) - began)) s"
    else
        show "$parser"
        return 1
    fi
}

if [ "${3:-}" = one ]; then
    run_one "$4"
    exit
fi
for target in "$build"/fuzz_*; do
    case $target in *.log) continue ;; esac
    [ -x "$target" ] || continue
    parser=${target##*/fuzz_}
    case " ${FUZZ_TARGETS:-$parser} " in *" $parser "*) echo "$target" ;; esac
done | xargs -P 2 -I{} "$0" "$build" "$seconds" one {}
