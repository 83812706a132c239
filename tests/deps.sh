#!/bin/sh
# Install the Debian packages that are missing; what is there already is left
# alone, so a second run does nothing and needs no network.
#
#   deps.sh        what building and `make demo` need
#   deps.sh test   what the tests need besides
#   deps.sh static what make static needs besides
#   deps.sh debian what building and checking the Debian packages needs besides
#   deps.sh perf   what tests/perf needs besides: servers and peers
set -eu

need="gcc make pkg-config libc6-dev libcurl4-openssl-dev libssl-dev
libcjson-dev libsodium-dev libzstd-dev libmicrohttpd-dev python3"
if [ "${1-}" = test ]; then
    # a second compiler with its sanitizers, fuzzing, faults, references, lint
    need="$need g++ clang libclang-rt-14-dev afl++ strace openssl git procps
clang-format e2fsprogs xfsprogs nginx-light minisign zstd python3-venv python3-torch
python3-numpy buildah zsh fish mandoc groff-base
radosgw ceph-mon ceph-osd swift-proxy swift-account swift-container swift-object"
fi
if [ "${1-}" = test ] || [ "${1-}" = static ]; then
    need="$need dpkg-dev xz-utils patch"
fi
if [ "${1-}" = debian ]; then
    need="$need debhelper dpkg-dev fakeroot lintian man-db git"
fi
if [ "${1-}" = perf ]; then
    need="$need nginx-light time aria2 curl openssl iproute2 zstd"
fi

missing=""
for p in $need; do
    state=$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null || true)
    [ "$state" = installed ] || missing="$missing $p"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ]; then
    echo "these Debian packages are missing:$missing" >&2
    echo "hint: run 'make deps' as root" >&2
    exit 1
fi
echo "installing:$missing"
apt-get update -qq
# shellcheck disable=SC2086
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
    --no-install-recommends $missing >/dev/null
