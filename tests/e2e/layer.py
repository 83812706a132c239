#!/usr/bin/env python3
"""mlfetch warm --image: a cache that is a function of the lock alone, which
anybody may read, on a disk that nobody can write to."""
import fcntl
import os
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from pulling import World, fails, kit, make_model, write  # noqa: E402

EPOCH = "1700000000"


def tree(top):
    """All that a layer would say of a folder, in one comparable value."""
    out = {}
    for where, folders, names in os.walk(top):
        for name in [".", *folders, *names]:
            path = os.path.normpath(os.path.join(where, name))
            st = os.lstat(path)
            text = b""
            if os.path.islink(path):
                text = os.readlink(path).encode()
            elif os.path.isfile(path):
                with open(path, "rb") as f:
                    text = f.read()
            out[os.path.relpath(path, top)] = (
                st.st_mode, st.st_mtime_ns, text)
    return out


def warm(w, home, *args, **env):
    env = dict(w.env, HF_HOME=os.path.join(w.home, home), **env)
    return kit.run(["mlfetch", "warm", "--lock", w.lock, *args], env)


def same(tap, a, b, name):
    wrong = sorted(p for p in a.keys() | b.keys() if a.get(p) != b.get(p))
    tap.ok(a and not wrong, name, "\n".join(
        f"{p}: {str(a.get(p))[:90]} {str(b.get(p))[:90]}" for p in wrong))


def layers(tap, served, w):
    done = warm(w, "one", "--image", SOURCE_DATE_EPOCH=EPOCH)
    one = tree(os.path.join(w.home, "one"))
    tap.eq((done.returncode, done.stderr.count("error")), (0, 0),
           "warm --image")
    # slower, over another number of connections: other times, other order
    served.faults([{"host": "bytes", "delay": 0.2, "times": 2}])
    warm(w, "two", "--image", "-j", "1", SOURCE_DATE_EPOCH=EPOCH)
    served.faults([])
    same(tap, one, tree(os.path.join(w.home, "two")),
         "a second cache is the same in names, bytes, modes and times")
    tap.eq({v[1] for v in one.values()}, {int(EPOCH) * 10 ** 9},
           "every time is SOURCE_DATE_EPOCH, of the folders made for it, too")
    tap.ok(not any("lock" in p or "lease" in p or "journal" in p or
                   "pulling" in p for p in one),
           "no locks, leases, journals or marks", "\n".join(one))
    warm(w, "three")
    three = tree(os.path.join(w.home, "three"))
    hub = tree(os.path.join(w.home, "one/hub"))
    tap.ok(any(".lock" in p for p in three) and
           {v[1] for v in three.values()} != {int(EPOCH) * 10 ** 9},
           "control: without --image it is another tree")
    warm(w, "three", "--image", SOURCE_DATE_EPOCH=EPOCH)
    same(tap, hub, tree(os.path.join(w.home, "three/hub")),
         "and with it, once all is there, the same one")
    warm(w, "four", "--image")
    tap.eq({v[1] for v in tree(os.path.join(w.home, "four")).values()}, {0},
           "without SOURCE_DATE_EPOCH the time is 0")
    return one


def carried(tap, w):
    """As docs/containers.md has it for builds that keep their downloads."""
    env = [dict(w.env, HF_HOME=os.path.join(w.home, h))
           for h in ("three", "five")]
    packed = os.path.join(w.home, "m.tar.zst")
    kit.run(["mlcache", "export", "--lock", w.lock, packed], env[0])
    done = kit.run(["mlcache", "import", packed], env[1])
    tap.eq(done.returncode, 0, "what was exported is imported")
    warm(w, "five", "--image", SOURCE_DATE_EPOCH=EPOCH)
    same(tap, tree(os.path.join(w.home, "one/hub")),
         tree(os.path.join(w.home, "five/hub")),
         "by way of an archive the layer is the same")


def below(tap, w):
    """A layer below is left as it is."""
    blobs = os.path.join(w.home, "four/hub/models--acme--tiny/blobs")
    before = {n: os.lstat(os.path.join(blobs, n)).st_ctime_ns
              for n in os.listdir(blobs)}
    done = warm(w, "four", "--image")
    tap.ok(done.returncode == 0 and before == {
        n: os.lstat(os.path.join(blobs, n)).st_ctime_ns
        for n in os.listdir(blobs)}, "a second warm touches no file", done)
    warm(w, "four", "--image", SOURCE_DATE_EPOCH=EPOCH)
    tap.eq(os.lstat(os.path.join(blobs, max(before))).st_mtime, 0,
           "nor does a later SOURCE_DATE_EPOCH")


def refused(tap, w):
    fails(tap, warm(w, "x", "--image", "--offline"), 2, "--image",
          "--image with --offline: 2")
    fails(tap, warm(w, "x", "--image", HF_HUB_OFFLINE="1"), 2, "--image",
          "and with HF_HUB_OFFLINE: 2")
    fails(tap, warm(w, "x", "--image", "--volume", "v"), 2, "HF_HUB_CACHE",
          "--image with --volume: 2")
    for text in ("yesterday", "-1", "1e9", "9" * 13):
        fails(tap, warm(w, "x", "--image", SOURCE_DATE_EPOCH=text), 2,
              "SOURCE_DATE_EPOCH", f"SOURCE_DATE_EPOCH={text}: 2")
    tap.ok(not os.path.exists(os.path.join(w.home, "x")),
           "and nothing was fetched")


def in_use(tap, w):
    """Whoever is at work there keeps his lock."""
    warm(w, "six")
    folder = os.path.join(w.home, "six/hub/.locks/models--acme--tiny")
    names = sorted(os.listdir(folder))
    for name in ("ml.lease", names[0]):
        with open(os.path.join(folder, name), "rb") as f:
            fcntl.flock(f, fcntl.LOCK_SH)
            fails(tap, warm(w, "six", "--image"), 1, "another process"
                  if name != "ml.lease" else "in use by process",
                  f"{name} is held: 1")
        tap.eq(sorted(os.listdir(folder)), names, "and the locks stay")
    outside = os.path.join(w.home, "outside")
    write(os.path.join(outside, "precious"), b"1")
    os.utime(os.path.join(outside, "precious"), (2e9, 2e9))
    os.symlink(outside, os.path.join(w.home, "six/hub/elsewhere"))
    os.symlink(outside, os.path.join(w.home, "six/hub/models--acme--tiny/x"))
    other = os.path.join(w.home, "six/hub/models--acme--other/refs/main")
    write(other, b"1" * 40)
    was = os.stat(other).st_mtime_ns
    done = warm(w, "six", "--image")
    tap.ok(done.returncode == 0 and not os.path.exists(folder) and
           os.path.getmtime(os.path.join(outside, "precious")) == 2e9,
           "where nobody is, they go; a link is not followed", done)
    tap.eq(os.stat(other).st_mtime_ns, was, "what the lock does not name is "
           "left alone")


def signed(tap, w):
    """What is remembered of a signature is one more part of the layer."""
    key = os.path.join(w.home, "key")
    kit.run(["mlverify", "keygen", "--no-password", "--secret", key + ".sec",
             "--public", key + ".pub"], w.env)
    kit.run(["mlverify", "sign", "--key", key + ".sec", w.lock], w.env)
    trees = []
    for home in ("s1", "s2"):
        done = warm(w, home, "--image", "--key", key + ".pub",
                    SOURCE_DATE_EPOCH=EPOCH)
        trees.append(tree(os.path.join(w.home, home, "hub")))
    same(tap, *trees, "signed: the same layer twice")
    tap.ok(done.returncode == 0 and
           {v[1] for v in trees[0].values()} == {int(EPOCH) * 10 ** 9} and
           [p.split("/")[1] for p in trees[0] if p.startswith(".locks/")] ==
           ["ml-warm"] * 2, "with the signature's time, and no other lock",
           "\n".join(trees[0]))


def read_by_all(tap, w, one):
    """As another user, without a home, where nothing can be written."""
    names = ["another user proves it offline", "and finds the model",
             "and nothing has changed"]
    if os.getuid() != 0:
        for name in names:
            tap.skip(name, "needs root, to become another user")
        return
    place = os.path.join(w.home, "one")
    for path in (w.home, place):
        os.chmod(path, 0o755)
    env = {"HF_HOME": place, "HF_HUB_OFFLINE": "1", "HOME": "/nonexistent"}
    how = dict(env=env, user=12345, group=12345, extra_groups=[],
               capture_output=True, text=True, timeout=120, cwd="/")
    shutil.copytree(kit.BUILD, os.path.join(w.home, "bin"),
                    ignore=lambda d, n: [x for x in n if x != "mlfetch" and
                                         x != "mlcache"])
    shutil.copy(w.lock, os.path.join(w.home, "read.lock"))
    os.chmod(os.path.join(w.home, "read.lock"), 0o644)
    program = os.path.join(w.home, "bin/ml")
    done = subprocess.run([program + "fetch", "warm", "--lock", os.path.join(
        w.home, "read.lock"), "--offline"], **how)
    tap.ok(done.returncode == 0 and "snapshots" in done.stdout, names[0], done)
    done = subprocess.run([program + "cache", "path", "acme/tiny"], **how)
    tap.ok(done.returncode == 0 and "snapshots" in done.stdout, names[1], done)
    same(tap, {k: v for k, v in one.items() if k != "."},
         {k: v for k, v in tree(place).items() if k != "."}, names[2])


def main():
    tap = kit.Tap()
    data = kit.scratch()
    make_model(os.path.join(data, "tiny"))
    repos = {"acme/tiny": {"dir": os.path.join(data, "tiny")},
             "acme/llama": {"dir": os.path.join(
                 kit.ROOT, "tests/fixtures/llama/safetensors")}}
    os.umask(0o022)
    with kit.Hub(repos) as hub, World(hub.url) as w:
        w.lock = os.path.join(w.home, "models.lock")
        kit.run(["mlfetch", "lock", "acme/tiny", "acme/llama", "-o", w.lock],
                w.env)
        one = layers(tap, hub, w)
        carried(tap, w)
        below(tap, w)
        refused(tap, w)
        in_use(tap, w)
        signed(tap, w)
        read_by_all(tap, w, one)
        kit.run(["mlfetch", "lock", "acme/llama", "--fp16", "-o", w.lock],
                w.env)
        for home in ("c1", "c2"):
            warm(w, home, "--image")
            time.sleep(0.01)
        same(tap, tree(os.path.join(w.home, "c1")),
             tree(os.path.join(w.home, "c2")), "a conversion, too")
    shutil.rmtree(data)
    tap.done()


if __name__ == "__main__":
    main()
