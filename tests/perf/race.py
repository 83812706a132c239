"""Whole commands run in turn, round after round, beside a TLS server that
this starts itself: what the measuring scripts of this folder share."""
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import kit  # noqa: E402
import nginx  # noqa: E402

REPO = "acme/race"
FILE = "model.safetensors"
NGINX = """access_log off; sendfile on; tcp_nopush on;
  keepalive_requests 100000;
  ssl_certificate cert.pem; ssl_certificate_key key.pem;
  ssl_protocols TLSv1.3;
  ssl_conf_command Ciphersuites TLS_AES_256_GCM_SHA384;
  root www;
  server {{ listen {address}:PORT ssl; {limit} }}"""


class Entrant:
    """One command of the race, a list; prepare() is called before each."""

    def __init__(self, name, command, env=None, prepare=None):
        self.name, self.command, self.env = name, command, env
        self.prepare = prepare or (lambda: None)
        self.wall, self.cpu, self.rss = [], [], []

    def run(self, folder):
        self.prepare()
        told = os.path.join(folder, "time.txt")
        began = time.monotonic()
        done = subprocess.run(
            ["/usr/bin/time", "-q", "-o", told, "-f", "%U %S %M",
             *map(str, self.command)], env=self.env, check=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True)
        wall = time.monotonic() - began
        if done.returncode != 0:
            sys.exit(f"{self.name}: status {done.returncode}\n{done.stderr}")
        with open(told, encoding="utf-8") as f:
            user, system, rss = f.read().split()[-3:]
        return wall, float(user) + float(system), int(rss) / 1024

    def keep(self, wall, cpu, rss):
        self.wall.append(wall)
        self.cpu.append(cpu)
        self.rss.append(rss)


CONGESTION = "/proc/sys/net/ipv4/tcp_congestion_control"
KNOWN = "/proc/sys/net/ipv4/tcp_available_congestion_control"


def told(path):
    with open(path, encoding="ascii") as f:
        return f.read().strip()


def own_network(congestion):
    """This script again, in a loopback of its own, if one is named."""
    if congestion and "ML_OWN_NETWORK" not in os.environ:
        if congestion not in told(KNOWN).split():
            sys.exit(f"{congestion}: the kernel knows only {told(KNOWN)}")
        os.environ["ML_OWN_NETWORK"] = congestion
        os.execvp("unshare", [
            "unshare", "-n", "sh", "-ec", f'ip link set lo up; '
            f'echo "$ML_OWN_NETWORK" >{CONGESTION}; exec "$@"', "sh",
            sys.executable, *sys.argv])
    print("congestion control:", told(CONGESTION), flush=True)


def load():
    """CPU seconds of the whole machine, and of our children."""
    with open("/proc/stat", encoding="ascii") as f:
        ticks = [int(n) for n in f.readline().split()[1:9]]
    own = os.times()
    return ((sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK"),
            own.children_user + own.children_system)


def race(entrants, rounds, folder, title):
    """Prints the table; ratios are to the first entrant, pair by pair. Who goes
    late in a round is slower, so the order is drawn anew for each."""
    for e in entrants:
        e.run(folder)  # the caches are warm from here on
    for _ in range(rounds):
        for e in random.sample(entrants, len(entrants)):
            e.keep(*e.run(folder))
    print(f"== {title}: {rounds} rounds, medians")
    print(f"{'':34}{'wall s':>8}{'(min-max)':>16}{'CPU s':>8}{'MB':>7}"
          f"{'x wall':>8}{'x CPU':>8}")
    for e in entrants:
        wall = statistics.median(
            a / b for a, b in zip(e.wall, entrants[0].wall))
        cpu = statistics.median(
            a / max(b, 0.001) for a, b in zip(e.cpu, entrants[0].cpu))
        low = f"{min(e.wall):.3f}-{max(e.wall):.3f}"
        print(f"{e.name:34}{statistics.median(e.wall):8.3f}{low:>16}"
              f"{statistics.median(e.cpu):8.2f}"
              f"{statistics.median(e.rss):7.1f}{wall:8.3f}{cpu:8.3f}",
              flush=True)


def skip(name, why):
    print(f"# SKIP {name}: {why}", flush=True)


def have(program):
    return shutil.which(program) is not None


class Server:
    """nginx with TLS, serving one random file of so many bytes from memory."""

    def __init__(self, size, address="127.0.0.1", limit="", inside=()):
        self.size, self.address, self.inside = size, address, inside
        self.limit = limit

    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix="mlrace.", dir="/dev/shm")
        www = os.path.join(self.dir, "www")
        os.mkdir(www)
        os.chmod(self.dir, 0o755)
        self.path = os.path.join(www, FILE)
        with open(self.path, "wb") as f:
            subprocess.run(
                "openssl enc -aes-128-ctr -K 00 -iv 00 -in /dev/zero "
                f"2>/dev/null | head -c {self.size}", shell=True, stdout=f,
                check=False)
        self.sha = subprocess.run(
            ["openssl", "dgst", "-sha256", "-r", self.path], check=True,
            capture_output=True, text=True).stdout.split()[0]
        self.cert = os.path.join(self.dir, "cert.pem")
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
             "ec_paramgen_curve:P-256", "-nodes", "-keyout",
             os.path.join(self.dir, "key.pem"), "-out", self.cert, "-days",
             "30", "-subj", "/CN=localhost", "-addext",
             f"subjectAltName=IP:{self.address}"], check=True,
            capture_output=True)
        self.proc, self.port = nginx.start(
            self.dir, NGINX.format(address=self.address, limit=self.limit),
            "worker_processes 2;", self.inside)
        self.url = f"https://{self.address}:{self.port}/{FILE}"
        return self

    def __exit__(self, *exc):
        self.proc.terminate()
        self.proc.wait()
        shutil.rmtree(self.dir)


class Front(kit.Hub):
    """The test hub in front of it: the bytes are at the server's URL."""

    def __init__(self, server):
        super().__init__({REPO: {"dir": os.path.dirname(server.path)}})
        self.server = server

    def __enter__(self):
        super().__enter__()
        self.faults([{"path": f"*/resolve/*/{FILE}", "times": -1,
                      "headers": {"Location": self.server.url}}])
        return self

    def env(self, home):
        return kit.clean_env(
            home, HF_ENDPOINT=self.url, SSL_CERT_FILE=self.server.cert,
            REQUESTS_CA_BUNDLE=self.server.cert, HF_HUB_DISABLE_XET=1,
            HF_HUB_DISABLE_TELEMETRY=1, HF_HUB_DISABLE_PROGRESS_BARS=1)


def build_floor(folder):
    """The measuring stick beside the suite, where there is one."""
    source = os.path.join(kit.ROOT, "../shared/floors/dl_floor.c")
    out = os.path.join(folder, "dl_floor")
    if not os.path.exists(source):
        return None
    subprocess.run(["cc", "-O3", "-march=native", "-pthread", "-w", "-o", out,
                    source, "-lssl", "-lcrypto"], check=True)
    return out


def emptied(folder):
    def prepare():
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
    return prepare


def peer(python):
    """Is there a Python with huggingface_hub?"""
    return os.path.exists(python) and subprocess.run(
        [python, "-c", "import huggingface_hub"], capture_output=True,
        check=False).returncode == 0
