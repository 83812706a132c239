#!/usr/bin/env python3
"""The static programs, and docs/containers.md: its Dockerfiles as they stand,
built twice by buildah, looked into, and run as nobody in particular."""
import gzip
import io
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import tarfile
import threading

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import kit  # noqa: E402

PROGRAMS = ("mlfetch", "mlcache", "mlconvert", "mlverify", "mlverify-run")
STATIC = os.path.join(kit.BUILD, "static")
REPO = "demo/tiny-neox"
TOKEN = "hf_secretOfTheBuild"
BUNDLES = ("etc/ssl/certs/ca-certificates.crt",
           "etc/pki/tls/certs/ca-bundle.crt",
           "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
           "etc/ssl/ca-bundle.pem", "etc/pki/tls/cacert.pem",
           "etc/ssl/cert.pem")
MODEL = os.path.join(kit.ROOT, "tests/model/tiny-neox")
CHROOT = shutil.which("chroot", path="/usr/sbin:/sbin:/usr/bin:/bin")


def make_static():
    """None, or why there are no static programs: built as the others were."""
    with open(os.path.join(kit.BUILD, "flags"), encoding="utf-8") as f:
        flags = f.read().split()
    env = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
    got = subprocess.run(["sh", "static/libs.sh", "get"], cwd=kit.ROOT, env=env,
                         capture_output=True, text=True)
    if got.returncode != 0:
        return "Debian's sources cannot be had: " + got.stderr.strip()[-200:]
    done = subprocess.run(
        ["make", "-j2", f"BUILD={os.path.basename(kit.BUILD)}", "CC=" + flags[0],
         "WERROR=" + ("1" if "-Werror" in flags else ""), "static"],
        cwd=kit.ROOT, env=env, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stdout[-2000:] + done.stderr[-4000:])
    return None


# ---- the programs, where there is nothing else ----

class Bare:
    """A root folder with one program, and what a test puts there."""

    def __init__(self, program):
        self.root = kit.scratch()
        self.program = program
        self.put(program, None, os.path.join(STATIC, program))

    def put(self, path, text, source=None):
        full = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        if source:
            shutil.copy(source, full)
            return
        with open(full, "w", encoding="utf-8") as f:
            f.write(text)

    def run(self, *args, **env):
        return subprocess.run([CHROOT, self.root, "/" + self.program, *args],
                              env=env, capture_output=True, text=True,
                              timeout=60)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        shutil.rmtree(self.root)


def alone(tap):
    for name in PROGRAMS:
        with Bare(name) as bare:
            done = bare.run("--version")
            tap.ok(done.returncode == 0 and done.stdout.startswith(name + " "),
                   f"{name} runs with nothing around it", done)
    with Bare("mlverify-run") as bare:
        shutil.copytree(MODEL, os.path.join(bare.root, "model"))
        done = bare.run("/model", "--tokens", "1,2", "--backend", "cuda")
        tap.ok(done.returncode == 1 and "statically" in done.stderr,
               "a plugin is refused by what it is", done)


    with Bare("mlfetch") as bare:
        done = bare.run("serve", "--listen", "127.0.0.1:0", "--tls-cert", "c",
                        "--tls-key", "k")
        tap.ok(done.returncode == 2 and "statically" in done.stderr,
               "so is a certificate for a mirror", done)


class NameServer(threading.Thread):
    """Knows mirror.test, and counts who asked."""

    def __init__(self):
        super().__init__(daemon=True)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.77", 53))
        self.asked = 0

    def run(self):
        while True:
            text, who = self.socket.recvfrom(512)
            end = text.index(b"\0", 12) + 5
            known = text[12:].startswith(b"\6mirror\4test\0")
            answer = b""
            if known and text[end - 4:end - 2] == b"\0\1":
                answer = b"\xc0\x0c" + struct.pack(">HHIH4B", 1, 1, 1, 4, 127,
                                                   0, 0, 1)
            self.asked += known
            self.socket.sendto(
                text[:2] + struct.pack(">H", 0x8180 if known else 0x8183) +
                struct.pack(">4H", 1, bool(answer), 0, 0) + text[12:end] +
                answer, who)


def names(tap):
    said = [f"a host's name from {where}, whatever nsswitch.conf wants"
            for where in ("/etc/hosts", "a name server")]
    with Bare("mlfetch") as bare:
        bare.put("etc/hosts", "127.0.0.1 hub.test\n")
        bare.put("etc/resolv.conf", "nameserver 127.0.0.77\n")
        bare.put("etc/nsswitch.conf", "passwd: sss\nhosts: mdns4_minimal "
                 "[NOTFOUND=return] resolve [!UNAVAIL=return]\n")
        done = bare.run("pull", "a/b", "--retry-time", "0",
                        HF_ENDPOINT="http://hub.test:1")
        tap.ok(done.returncode == 5 and "connect to hub.test" in done.stderr,
               said[0], done)
        try:
            server = NameServer()
        except OSError as e:
            tap.skip(said[1], f"no name server of one's own: {e}")
            return
        server.start()
        done = bare.run("pull", "a/b", "--retry-time", "0",
                        HF_ENDPOINT="http://mirror.test:1")
        tap.ok(done.returncode == 5 and server.asked and
               "connect to mirror.test" in done.stderr, said[1], done)
        done = bare.run("pull", "a/b", "--retry-time", "0",
                        HF_ENDPOINT="http://other.test:1")
        tap.ok(done.returncode == 5 and "resolve" in done.stderr,
               "control: a name that nobody knows", done)


def certificate(folder):
    cert, key = (os.path.join(folder, n) for n in ("cert.pem", "key.pem"))
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days",
         "2", "-keyout", key, "-out", cert, "-subj", "/CN=test", "-addext",
         "subjectAltName=IP:127.0.0.1,IP:127.0.0.2"],
        check=True, capture_output=True)
    return cert, key


def bundles(tap, hub, cert):
    env = {"HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN}
    pull = ("pull", REPO, "--dry-run", "--retry-time", "0")
    for path in BUNDLES:
        with Bare("mlfetch") as bare:
            bare.put(path, None, cert)
            done = bare.run(*pull, **env)
            tap.eq(done.returncode, 0, f"certificates found in /{path}")
    with Bare("mlfetch") as bare:
        done = bare.run(*pull, **env)
        tap.ok(done.returncode == 5 and "SSL_CERT_FILE" in done.stderr and
               "there are no trusted certificates" in done.stderr,
               "there are none: 5, and says so", done)
        done = bare.run(*pull, SSL_CERT_FILE="/none", **env)
        tap.ok(done.returncode == 5 and
               "SSL_CERT_FILE: /none: No such file" in done.stderr,
               "the one named is not there: 5, and says so", done)
        bare.put("empty", "")
        done = bare.run(*pull, SSL_CERT_FILE="/empty", **env)
        tap.ok(done.returncode == 5 and "/empty holds no" in done.stderr,
               "it is empty: 5, and says so", done)
        bare.put("mine.pem", None, cert)
        done = bare.run(*pull, SSL_CERT_FILE="/mine.pem", **env)
        tap.eq(done.returncode, 0, "one that is named")


# ---- images ----

def dockerfiles():
    path = os.path.join(kit.ROOT, "docs/containers.md")
    with open(path, encoding="utf-8") as f:
        return re.findall(r"```dockerfile\n(.*?)```", f.read(), flags=re.S)


class Builder:
    """buildah with a store of its own."""

    def __init__(self, hub, cert):
        self.folder = kit.scratch()
        self.context = os.path.join(self.folder, "context")
        self.hub = hub
        os.makedirs(self.context)
        shutil.copytree(STATIC, os.path.join(self.context, "static"))
        shutil.copy(cert,
                    os.path.join(self.context, "ca-certificates.crt"))
        self.token = os.path.join(self.folder, "token")
        with open(self.token, "w", encoding="utf-8") as f:
            f.write(TOKEN + "\n")

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.call("rm", "--all")
        self.call("rmi", "--all", "--force")
        shutil.rmtree(self.folder)

    def call(self, *args, before=(), **more):
        store = [f"--root={self.folder}/store",
                 f"--runroot={self.folder}/run", "--storage-driver=vfs"]
        env = {"PATH": os.environ["PATH"], "HOME": self.folder,
               "BUILDAH_ISOLATION": "chroot", "TMPDIR": self.folder}
        return subprocess.run([*before, "buildah", *store, *args], env=env,
                              capture_output=True, text=True, timeout=120,
                              **more)

    def build(self, name, text):
        path = os.path.join(self.folder, "Dockerfile")
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return self.call(
            "build", "--no-cache", "--layers", "--secret",
            f"id=hf_token,src={self.token}", "--build-arg",
            "HF_ENDPOINT=" + self.hub.url, "-t", name, "-f", path,
            self.context)

    def image(self, name):
        """Its configuration, and its layers as the bytes of tar files."""
        place = os.path.join(self.folder, "oci." + name)
        done = self.call("push", name, f"oci:{place}:{name}")
        if done.returncode != 0:
            raise RuntimeError(done.stderr)

        def blob(d):
            path = os.path.join(place, "blobs", d.replace(":", "/"))
            with open(path, "rb") as f:
                return f.read()

        with open(os.path.join(place, "index.json"), encoding="utf-8") as f:
            index = json.load(f)
        manifest = json.loads(blob(index["manifests"][0]["digest"]))
        return (blob(manifest["config"]["digest"]),
                [gzip.decompress(blob(v["digest"]))
                 for v in manifest["layers"]])


def members(layer):
    with tarfile.open(fileobj=io.BytesIO(layer)) as t:
        return {m.name: m for m in t.getmembers()}


def model_layer(layers):
    """That with /models in it, alone."""
    found = [v for v in layers if any(n.startswith("models/")
                                      for n in members(v))]
    return found[0] if len(found) == 1 else b""


def builds(tap, b, text):
    """The image twice; what a control says of either promise."""
    layers = []
    for name in ("first", "second"):
        done = b.build(name, text)
        if not tap.eq(done.returncode, 0, f"the {name} image is built"):
            print("#", done.stdout[-1500:], done.stderr[-1500:])
            return False
        config, found = b.image(name)
        layers.append(model_layer(found))
        tap.ok(found and TOKEN.encode() not in config + b"".join(found),
               "the token is in no layer and not in its configuration")
    tap.ok(layers[0] and layers[0] == layers[1],
           "the layer with the model is the same to the last bit",
           "\n".join(sorted(members(layers[0]))[:30]))
    inside = members(layers[0])
    tap.ok(all(n.startswith("models/") or n == "models" for n in inside) and
           {m.mtime for m in inside.values()} == {0} and
           all(m.mode & 0o444 == 0o444 for m in inside.values()),
           "nothing but the model is in it, for everybody to read",
           [(n, m.mtime, oct(m.mode)) for n, m in inside.items()])
    return layers[0]


def controls(tap, b, text, layer):
    done = b.build("careless", text.replace(', "--image"', ""))
    other = model_layer(b.image("careless")[1])
    tap.ok(done.returncode == 0 and other and other != layer,
           "control: without --image it is another layer")
    kept = text.replace(
        "RUN --mount", "COPY token /token\nRUN --mount").replace(
        "COPY static/ /bin/\nENV", "COPY --from=fetch /token /\nENV")
    shutil.copy(b.token, os.path.join(b.context, "token"))
    done = b.build("leaky", kept)
    found = b.image("leaky")[1] if done.returncode == 0 else []
    tap.ok(TOKEN.encode() in b"".join(found),
           "control: a token that was copied is found", done)
    with open(b.token, "w", encoding="utf-8") as f:
        f.write("hf_another\n")
    done = b.build("denied", text)
    tap.ok(done.returncode != 0 and REPO in done.stderr,
           "control: with another token nothing is built", done)


def proofs(tap, run, how):
    """What the page says can be started, by a function that starts it."""
    done = run("/bin/mlverify-run", REPO, "--tokens", "1,2,3", "-n", "4",
               "--json")
    tap.ok(done.returncode == 0 and '"ok":true' in done.stdout,
           f"mlverify-run {how}", done)
    for args in (("warm", "--lock", "/models.lock", "--offline"),
                 ("pull", "--lock", "/models.lock", "--offline")):
        done = run("/bin/mlfetch", *args)
        tap.ok(done.returncode == 0 and "/models/" in done.stdout,
               f"mlfetch {args[0]} {how}", done)
    done = run("/bin/mlverify", "check", REPO)
    tap.eq(done.returncode, 0, f"mlverify check {how}")


def isolated():
    """Can a process be given a network of its own, with nothing in it?"""
    return subprocess.run(["unshare", "-n", "-m", "true"],
                          capture_output=True).returncode == 0


def starts(tap, b):
    if not isolated():
        tap.skip("the image is run", "no namespaces: unshare -n -m")
        return
    work = b.call("from", "first").stdout.strip()

    def by_buildah(*args):
        return b.call("run", "--user", "12345:12345", work, "--", *args,
                      before=["unshare", "-n"])

    proofs(tap, by_buildah, "by buildah run, as uid 12345, no network")
    root = b.call("mount", work).stdout.strip()
    config = json.loads(b.call("inspect", work).stdout)
    env = dict(v.split("=", 1) for v in config["OCIv1"]["config"]["Env"])
    script = ('mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && '
              'r=$1 && shift && exec "$0" --userspec=12345:12345 "$r" "$@"')

    def read_only(*args):
        return subprocess.run(
            [shutil.which("unshare"), "-n", "-m", "/bin/sh", "-c", script,
             CHROOT, root, *args], env=dict(env, PATH=os.environ["PATH"]),
            capture_output=True, text=True, timeout=120)

    proofs(tap, read_only, "on a read-only disk, as uid 12345, no network")
    done = read_only("/bin/mlfetch", "put", "/v", "/models.lock")
    tap.ok(done.returncode != 0 and "Read-only" in done.stderr,
           "control: nothing can be written there", done)
    one = [p for p in b.call("run", work, "--", "/bin/mlcache", "path",
                             REPO).stdout.split()][0]
    name = os.path.realpath(os.path.join(root, one.lstrip("/"),
                                         "config.json"))
    os.chmod(name, 0o644)
    with open(name, "r+b") as f:
        f.write(b"[")
    done = by_buildah("/bin/mlfetch", "warm", "--lock", "/models.lock",
                      "--offline")
    tap.ok(done.returncode == 6 and "config.json" in done.stderr,
           "control: one byte that changed is found", done)


def images(tap, hub, cert):
    if shutil.which("buildah") is None:
        tap.skip("images by buildah", "there is no buildah")
        return
    with Builder(hub, cert) as b:
        probe = b.build("probe", "FROM scratch\nCOPY static/ /bin/\n"
                        'RUN ["/bin/mlfetch", "--version"]\n')
        if probe.returncode != 0:
            tap.skip("images by buildah", "it cannot build here: " +
                     probe.stderr.strip().replace("\n", " ")[-160:])
            return
        env = kit.clean_env(b.folder, HF_ENDPOINT=hub.url, HF_TOKEN=TOKEN,
                            SSL_CERT_FILE=cert)
        kit.run(["mlfetch", "lock", REPO, "-o",
                 os.path.join(b.context, "models.lock")], env)
        texts = dockerfiles()
        tap.eq(len(texts), 1, "the page has a Dockerfile")
        layer = builds(tap, b, texts[0])
        if layer:
            starts(tap, b)
            controls(tap, b, texts[0], layer)


def main():
    tap = kit.Tap()
    why = "needs root, for chroot" if os.getuid() != 0 else make_static()
    if why:
        tap.skip("static programs, and images made of them", why)
        tap.done()
    data = kit.scratch()
    cert, key = certificate(data)
    repos = {REPO: {"dir": MODEL, "gated": "auto", "tokens": [TOKEN]}}
    alone(tap)
    names(tap)
    with kit.Hub(repos, tls={"cert": cert, "key": key}) as hub:
        bundles(tap, hub, cert)
        images(tap, hub, cert)
    shutil.rmtree(data)
    tap.done()


if __name__ == "__main__":
    main()
