#!/bin/sh
# Installs what puna is built with, where it is missing. With --ci also what its checks use.
# Says nothing when nothing is missing. docs/dependencies.md has the reason for each package.
set -eu

build="g++ cmake ninja-build pkg-config python3 libgtest-dev libbenchmark-dev"
build="$build nlohmann-json3-dev libcli11-dev libcurl4-openssl-dev libssl-dev"
ci="git clang-14 clang-format-14 libclang-rt-14-dev mingw-w64 wine64"
ci="$ci g++-aarch64-linux-gnu qemu-user"

case "${1:-}" in
    "") packages=$build ;;
    --ci) packages="$build $ci" ;;
    *)
        echo "usage: sh cmake/setup.sh [--ci]" >&2
        exit 2
        ;;
esac

if ! command -v apt-get > /dev/null || ! command -v dpkg-query > /dev/null; then
    # Nothing here tells what is installed, so only name what is needed.
    cat >&2 << END
setup.sh installs with apt, which this machine does not have. Install with its package manager:
  a C++20 compiler (GCC 12, clang 14 or newer), CMake 3.25 or newer, Ninja, pkg-config, Python 3,
  GoogleTest, Google Benchmark, nlohmann-json 3, CLI11 2, libcurl 7.66 and OpenSSL 1.1 or newer
  Debian's names: $packages
END
    exit 1
fi

is_installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2> /dev/null)" = installed ] || return 1
}

# A tool that came another way is as good as its package.
is_present() {
    case "$1" in
        g++ | cmake | python3 | git | pkg-config) command -v "$1" > /dev/null || is_installed "$1" ;;
        ninja-build) command -v ninja > /dev/null || is_installed "$1" ;;
        clang-14 | clang-format-14) command -v "$1" > /dev/null || is_installed "$1" ;;
        *) is_installed "$1" ;;
    esac
}

missing=""
for package in $packages; do
    is_present "$package" || missing="$missing $package"
done

if [ -n "$missing" ]; then
    as_root=""
    if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo > /dev/null; then
            echo "setup.sh is neither root nor finds sudo. As root: apt-get install$missing" >&2
            exit 1
        fi
        as_root=sudo
    fi
    echo "installing:$missing"
    $as_root apt-get update -q
    # shellcheck disable=SC2086
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing
fi

have=$(cmake --version | sed -n '1s/[^0-9]*\([0-9]*\.[0-9]*\).*/\1/p')
if [ "$(printf '%s\n' 3.25 "$have" | sort -V | head -n 1)" != 3.25 ]; then
    echo "CMake $have is too old, puna needs 3.25: https://cmake.org/download" >&2
    exit 1
fi
