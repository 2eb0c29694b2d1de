#!/bin/sh
# What the compilers' own warnings do not see: tools/analyse.sh [BUILD [BASE]]
# cppcheck reads all of src. clang-tidy reads the .c files that changed since the commit BASE, or
# include a header that did, two at a time; all without a BASE, or when its own rules changed. What
# is left out is said with the reason in .clang-tidy and beside the line (cppcheck-suppress, NOLINT).
set -eu
cd "$(dirname "$0")/.."
build=${1:-build}
base=${2:-}
tidy=$(command -v clang-tidy-14 || command -v clang-tidy)

to_read() {
    if [ -z "$base" ] || ! git diff --quiet "$base" -- .clang-tidy; then
        find src -name '*.c'
        return
    fi
    git diff --name-only --diff-filter=d "$base" -- 'src/*.c'
    git diff --name-only --diff-filter=d "$base" -- 'src/*.h' | sed 's/^src\///' | while read -r header; do
        grep -rlF --include='*.c' "#include \"$header\"" src || true
    done
}

status=0
cppcheck --enable=warning,performance,portability --std=c11 --inline-suppr --quiet --error-exitcode=1 \
    -I src --suppress=missingInclude --suppress=missingIncludeSystem \
    --template='{file}:{line}: {id}: {message}' src || status=1

files=$(to_read | sort -u)
count=$(printf '%s' "$files" | grep -c . || true)
if [ "$count" -gt 0 ]; then
    # Standard error has but the count of what was left out in the headers of the system.
    printf '%s\n' "$files" | nice xargs -P 2 -n 4 "$tidy" --quiet -p "$build" 2>"$build/clang-tidy.log" ||
        status=1
    grep -E 'error:|rror while' "$build/clang-tidy.log" && status=1
fi
echo "analyse: cppcheck on src, clang-tidy on $count files: $([ $status = 0 ] && echo nothing found || echo FOUND)"
exit $status
