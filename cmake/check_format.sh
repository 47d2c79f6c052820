#!/bin/sh
# Lists the C and C++ files that clang-format 14 would change. --fix changes them.
set -eu
cd "$(dirname "$0")/.."
format=clang-format-14
command -v "$format" > /dev/null || format=clang-format
"$format" --version | grep -q "version 14\." || {
    echo "clang-format 14 is needed: 'sh cmake/setup.sh --ci' installs it" >&2
    exit 1
}

files() { git ls-files -z -co --exclude-standard -- '*.c' '*.cpp' '*.h' '*.hpp' '*.cu' '*.cuh'; }

if [ "${1:-}" = --fix ]; then
    files | xargs -0 "$format" -i
    exit
fi
unformatted=$(files | xargs -0 "$format" --dry-run -Werror 2>&1 | sed -n 's/:[0-9]*:[0-9]*: .*//p' | sort -u)
[ -z "$unformatted" ] && exit
echo "$unformatted"
echo "'sh cmake/check_format.sh --fix' formats them"
exit 1
