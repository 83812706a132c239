#!/bin/sh
# Install the Debian packages that building and testing need; what is there
# already is left alone, so a second run does nothing and needs no network.
set -eu

# tools and libraries to build with
need="gcc clang make pkg-config libc6-dev libcurl4-openssl-dev libssl-dev
libcjson-dev"
# what the tests use: servers and scripts, sanitizer run time, references
need="$need python3 python3-venv python3-torch python3-numpy libclang-rt-14-dev
clang-format"

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
