#!/bin/sh
# Three static libraries that Debian does not have: of libcurl the one it has
# wants GSSAPI and LDAP, of which there is none; that of libmicrohttpd GnuTLS,
# which wants p11-kit; of cJSON there is none. They are built from Debian's own
# source packages, with Debian's fixes; apt checks them. libcurl is made of what
# the programs use: HTTP, TLS, proxies. libmicrohttpd is made without TLS.
#
#   libs.sh get    the sources, into build/debian-src: like a package that is
#                  installed, before the build and not by it
#   libs.sh OUT    libcurl.a, libcjson.a and libmicrohttpd.a in OUT; CC is heeded
set -eu

cd "$(dirname "$0")/.."
src=$PWD/build/debian-src
packages="curl cjson libmicrohttpd"

# The machine's own mirrors of Debian, asked for sources.
mirrors() {
    apt-get indextargets \
        --format 'deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(REPO_URI) $(RELEASE) $(COMPONENT)' \
        "Created-By: Packages" "Origin: Debian" | sort -u
}

# With lists of its own: neither root nor a change of the machine's is needed.
apt_here() {
    apt-get -qq -o Dir::Etc::sourcelist="$src/apt/debian.list" \
        -o Dir::Etc::sourceparts=/dev/null -o Dir::State="$src/apt/state" \
        -o Dir::State::status=/var/lib/dpkg/status \
        -o Dir::Cache="$src/apt/cache" -o APT::Sandbox::User="$(id -un)" "$@"
}

get() {
    command -v dpkg-source >/dev/null || {
        echo "static: there is no dpkg-source" >&2
        echo "hint: run 'sh tests/deps.sh static' as root" >&2
        exit 1
    }
    [ "$(cat "$src/complete" 2>/dev/null)" != "$packages" ] || return 0
    rm -rf "$src"
    mkdir -p "$src/apt/state/lists/partial" "$src/apt/cache/archives/partial"
    mirrors >"$src/apt/debian.list"
    [ -s "$src/apt/debian.list" ] || {
        echo "static: apt knows no mirror of Debian" >&2
        echo "hint: run 'apt-get update' as root, on Debian 12" >&2
        exit 1
    }
    echo "fetching from Debian the sources of: $packages"
    apt_here update
    # shellcheck disable=SC2086
    (cd "$src" && apt_here source --download-only $packages)
    rm -rf "$src/apt"
    echo "$packages" >"$src/complete"
}

unpack() {
    rm -rf "$work/$1"
    dpkg-source --no-check -x "$src/$1"_*.dsc "$work/$1" >>"$log" 2>&1
}

# Debian's fixes touch what would be made anew by tools that are not needed.
build() {
    make -C "$1" -j2 "$2.la" AUTOMAKE=: AUTOCONF=: ACLOCAL=: AUTOHEADER=: \
        >>"$log" 2>&1
    cp "$1/.libs/$2.a" "$out/"
}

httpd() {
    unpack libmicrohttpd
    mkdir -p "$work/httpd-build"
    cd "$work/httpd-build"
    CONFIG_SHELL=/bin/sh CFLAGS="-O2 -fPIE" /bin/sh \
        ../libmicrohttpd/configure -q --enable-static --disable-shared \
        --disable-dependency-tracking --disable-https --disable-doc \
        --disable-examples --disable-curl --disable-postprocessor \
        --disable-dauth >>"$log" 2>&1
    build src/microhttpd libmicrohttpd
}

curl() {
    unpack curl
    mkdir -p "$work/curl-build"
    cd "$work/curl-build"
    off="ftp file ldap ldaps rtsp dict telnet tftp pop3 imap smb smtp gopher
mqtt manual libcurl-option ntlm ntlm-wb tls-srp unix-sockets cookies doh mime
netrc alt-svc hsts websockets progress-meter shared dependency-tracking"
    without="zlib brotli zstd libpsl libssh2 librtmp libidn2 nghttp2 gssapi"
    set --
    for o in $off; do set -- "$@" "--disable-$o"; done
    for o in $without; do set -- "$@" "--without-$o"; done
    CONFIG_SHELL=/bin/sh CFLAGS="-O2 -fPIE" /bin/sh ../curl/configure -q \
        --enable-static --with-openssl --enable-threaded-resolver \
        --with-ca-bundle=/etc/ssl/certs/ca-certificates.crt \
        --with-ca-path=/etc/ssl/certs "$@" >>"$log" 2>&1
    build lib libcurl
}

cjson() {
    unpack cjson
    cd "$work/cjson"
    ${CC:-cc} -O2 -fPIE -c -o "$work/cJSON.o" cJSON.c
    rm -f "$out/libcjson.a"
    ar rcs "$out/libcjson.a" "$work/cJSON.o"
}

if [ "$1" = get ]; then
    get
    exit
fi
# A build fetches nothing.
[ "$(cat "$src/complete" 2>/dev/null)" = "$packages" ] || {
    echo "static: the sources of Debian's $packages are not there" >&2
    echo "hint: run 'sh static/libs.sh get'" >&2
    exit 1
}
mkdir -p "$1"
out=$(cd "$1" && pwd)
work=$out/work
log=$out/libs.log
rm -rf "$work"
mkdir -p "$work"
: >"$log"
trap '[ $? = 0 ] || tail -n 20 "$log" >&2' EXIT
(httpd) &
(cjson)
(curl)
wait $!
rm -rf "$work"
