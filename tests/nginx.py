"""nginx in a folder of its own: what tests and measurements start of it."""
import os
import random
import shutil
import subprocess
import time

PROGRAM = shutil.which("nginx") or "/usr/sbin/nginx"
TRIES = 3
TEXT = """daemon off; pid {folder}/pid; error_log {folder}/error.log; {main}
events {{ worker_connections 2048; }}
http {{
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2;
  fastcgi_temp_path {folder}/t3; uwsgi_temp_path {folder}/t4;
  scgi_temp_path {folder}/t5;
  {http}
}}
"""


def installed():
    return os.path.exists(PROGRAM)


def some_port():
    """One that clients do not get, where there are such: a connection that
    waits out its minute keeps its port from whoever would listen there."""
    with open("/proc/sys/net/ipv4/ip_local_port_range",
              encoding="ascii") as f:
        low = int(f.read().split()[0])
    return random.randrange(10000, low if low > 20000 else 60000)


def start(folder, http, main="", inside=()):
    """nginx that listens, by what stands in http, where PORT is the port;
    it is the caller's to end. Returns it, and the port."""
    conf, said, pid = [os.path.join(folder, name)
                       for name in ("nginx.conf", "stderr", "pid")]
    if os.getuid() == 0:
        main += " user root;"
    for _ in range(TRIES):
        port = some_port()
        with open(conf, "w", encoding="utf-8") as f:
            f.write(TEXT.format(folder=folder, main=main,
                                http=http.replace("PORT", str(port))))
        with open(said, "wb") as f:
            proc = subprocess.Popen([*inside, PROGRAM, "-p", folder, "-c",
                                     conf], stderr=f)
        while proc.poll() is None:
            if os.path.exists(pid):  # it is written after the port is had
                return proc, port
            time.sleep(0.02)
    with open(said, encoding="utf-8", errors="replace") as f:
        raise RuntimeError("nginx did not start:\n" + f.read())
