#!/bin/sh
# What a new machine makes of this project: a Debian 12 of its own, from
# nothing but its mirror, with git and make, as the README asks for; in it the
# README's commands, the static programs, and the Debian package.
#
#   fresh.sh [--short]    --short leaves `make test` out; run as root
#
# FRESH_DIR (default build/fresh) is where it stands, 4 GB; it is removed when
# all has passed. What was committed is tried, not what lies in the work tree.
set -eu

cd "$(dirname "$0")/.."
dir=${FRESH_DIR:-$PWD/build/fresh}
mirror=${FRESH_MIRROR:-http://deb.debian.org/debian}
short=${1-}
passed=0
failed=0

if [ "$(id -u)" != 0 ]; then
    echo "fresh.sh: a new Debian is made by root" >&2
    exit 2
fi
if ! command -v debootstrap >/dev/null; then
    echo "fresh.sh: there is no debootstrap" >&2
    echo "hint: apt-get install debootstrap" >&2
    exit 2
fi

# In a mount namespace of its own, so that nothing of the machine's is mounted
# below the folder when it is removed, however this ends.
inside() {
    # shellcheck disable=SC2016
    unshare -m --propagation private /bin/sh -ec '
        for m in dev proc sys; do
            mount --rbind "/$m" "$0/$m"
        done
        exec env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin \
            LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
            chroot "$0" /bin/sh -ec "$1"' "$dir/root" "$1"
}

try() {
    start=$(date +%s)
    if inside "$2" >"$dir/log" 2>&1; then
        passed=$((passed + 1))
        echo "ok - $1 ($(($(date +%s) - start)) s)"
        sed -n 's/^\([0-9]* passed, .*\)$/    \1/p' "$dir/log" | tail -n 1
    else
        failed=$((failed + 1))
        echo "not ok - $1"
        tail -n 30 "$dir/log" | sed 's/^/#   /'
    fi
}

if [ -e "$dir" ] && [ ! -e "$dir/.fresh" ]; then
    echo "fresh.sh: $dir is there, and is none of mine" >&2
    exit 2
fi
rm -rf --one-file-system "$dir"
mkdir -p "$dir"
touch "$dir/.fresh"
debootstrap --variant=minbase --include=git,make bookworm "$dir/root" \
    "$mirror" >"$dir/log" 2>&1 || {
    tail -n 20 "$dir/log" >&2
    exit 1
}
echo "ok - a new Debian $(cat "$dir/root/etc/debian_version")"
cp /etc/resolv.conf /etc/hosts "$dir/root/etc/"
git clone -q --no-hardlinks . "$dir/root/src"
# whose it is: apt reads sources as another user
chown -R 0:0 "$dir/root/src"

inside "apt-get update -qq" >"$dir/log" 2>&1
try "make demo" "cd /src && make demo"
try "make static" "cd /src && sh tests/deps.sh static && sh static/libs.sh get && make static"
try "each static program with nothing around it" '
mkdir -p /alone
cp /src/build/release/static/* /alone/
cp -r /src/tests/model/tiny-neox /alone/model
for p in mlfetch mlcache mlconvert mlverify mlverify-run; do
    chroot /alone /$p --version
done
chroot /alone /mlverify check /model
chroot /alone /mlverify-run /model --tokens 1,2,3 -n 4
chroot /alone /mlconvert --fp16 /model -o /out'
if [ -e debian/control ]; then
    try "the Debian package" '
apt-get install -y -qq --no-install-recommends dpkg-dev devscripts equivs
cp -r /src /package && cd /package && git clean -qdfx
apt-get build-dep -y -qq ./
dpkg-buildpackage -us -uc -b'
    try "is installed, and runs" '
apt-get install -y -qq /*.deb
for p in mlfetch mlcache mlconvert mlverify mlverify-run; do
    /usr/bin/$p --version
done'
else
    echo "ok - the Debian package # SKIP there is no debian/control"
fi
[ "$short" = --short ] || try "make test" "cd /src && make test"

echo
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] || exit 1
rm -rf --one-file-system "$dir"
