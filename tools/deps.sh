#!/bin/sh
# Installs the packages that building and testing need and that are missing. Debian 12, Ubuntu 24.04.
set -eu
want="build-essential cmake ninja-build pkg-config libgnutls28-dev libssl-dev libpcre2-dev zlib1g-dev
libbrotli-dev libzstd-dev libc-ares-dev libseccomp-dev libcmocka-dev clang-format python3 python3-pytest
python3-pytest-timeout python3-websockets ca-certificates curl openssl gnutls-bin iproute2 brotli zstd"
# What the test of a whole hospital portal needs besides.
portal="orthanc orthanc-dicomweb python3-pydicom python3-numpy python3-flask gunicorn nginx-light
chromium libnss3-tools fonts-dejavu-core"
# What the thread sanitizer and the fuzzer need besides.
clang="clang libclang-rt-dev"
# What reads the sources.
analyse="clang-tidy-14 cppcheck"
# What checks the metrics: promtool. The package starts a server of its own on port 9090.
metrics="prometheus"
[ "${1:-}" = --metrics ] && want=$metrics
[ "${1:-}" = --portal ] && want=$portal
[ "${1:-}" = --clang ] && want=$clang
[ "${1:-}" = --analyse ] && want=$analyse
missing=""
for package in $want; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
[ -z "$missing" ] && exit 0
echo "installing:$missing"
sudo=""
[ "$(id -u)" = 0 ] || sudo="sudo"
$sudo apt-get update -qq
# shellcheck disable=SC2086
DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends $missing >/dev/null
