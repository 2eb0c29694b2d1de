#!/bin/sh
# Writes the pages that are made from the program's tables; with --check says which are stale.
#   tools/docs.sh BINARY [--check]
set -eu

binary=${1:?usage: tools/docs.sh BINARY [--check]}
mode=${2:-write}
docs=$(dirname "$0")/../docs
new=$(mktemp)
trap 'rm -f "$new"' EXIT
stale=0

# page NAME: what `docs NAME` prints is docs/NAME.md
page() {
    "$binary" docs "$1" >"$new"
    if [ "$mode" != --check ]; then
        cat "$new" >"$docs/$1.md"
    elif ! diff -u "$docs/$1.md" "$new"; then
        echo "docs/$1.md is stale: run tools/docs.sh $binary" >&2
        stale=1
    fi
}

page configuration
# docs/log.md has prose of its own around its table; the unit test of access_log holds it.
exit $stale
