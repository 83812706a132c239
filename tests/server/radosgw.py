#!/usr/bin/python3
"""Ceph's S3 server, from Debian's packages, as a cluster in memory.

    radosgw.py [DIR]      until SIGTERM; prints the environment for a client

`with radosgw.Radosgw() as s:` in a test; `Radosgw.missing()` says why not.
It listens on 127.0.0.1 only, needs no root, and is up in about a second.
"""
import os
import shutil
import subprocess
import uuid

import s3_process

CONF = """[global]
fsid = {fsid}
mon host = v2:127.0.0.1:{mon}/0
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
ms mon client mode = crc
ms bind msgr1 = false
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon data avail crit = 1
mon data avail warn = 1
paxos propose interval = 0.02
paxos min wait = 0.01
run dir = {folder}/run
admin socket = {folder}/run/$name.asok
pid file = {folder}/run/$name.pid
log file = {folder}/log/$name.log
keyring = {folder}/keyring
[mon]
mon data = {folder}/mon
mon cluster log file = {folder}/log/cluster.log
[osd]
osd data = {folder}/osd
osd objectstore = memstore
memstore device bytes = 1073741824
osd class load list = *
[client.rgw]
rgw data = {folder}/rgw
rgw frontends = beast endpoint=127.0.0.1:{port}
rgw run sync thread = false
rgw dynamic resharding = false
rgw thread pool size = 64
"""
PROGRAMS = ("ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "ceph",
            "monmaptool")


class Radosgw(s3_process.Process):
    name = "radosgw"
    conditional = True          # PUT with If-None-Match and If-Match
    key, secret = "testkey", "testsecret"

    @staticmethod
    def missing():
        for p in PROGRAMS:
            if not shutil.which(p):
                return p + " is not installed (packages radosgw, ceph-mon, ceph-osd)"
        return None

    def tool(self, *args):
        subprocess.run(args, env=self.environ, check=True, timeout=60,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)

    def start(self):
        d = self.folder
        mon, port = s3_process.free_ports(1), s3_process.free_ports(1)
        fsid, osd = str(uuid.uuid4()), str(uuid.uuid4())
        conf = d + "/ceph.conf"
        for sub in ("mon", "osd", "rgw", "run", "log"):
            os.makedirs(f"{d}/{sub}", exist_ok=True)
        open(d + "/keyring", "w").close()
        with open(conf, "w") as f:
            f.write(CONF.format(fsid=fsid, mon=mon, port=port, folder=d))
        self.environ = dict(os.environ, CEPH_CONF=conf)
        self.tool("monmaptool", "--create", "--fsid", fsid, "--addv", "a",
                  f"v2:127.0.0.1:{mon}", d + "/monmap")
        self.tool("ceph-mon", "-c", conf, "--mkfs", "-i", "a", "--monmap",
                  d + "/monmap", "--keyring", d + "/keyring")
        self.spawn(["ceph-mon", "-c", conf, "-i", "a", "-f"], "ceph-mon")
        self.tool("ceph", "-c", conf, "osd", "new", osd)
        self.tool("ceph-osd", "-c", conf, "-i", "0", "--mkfs", "--osd-uuid",
                  osd)
        self.spawn(["ceph-osd", "-c", conf, "-i", "0", "-f"], "ceph-osd")
        self.spawn(["radosgw", "-c", conf, "-n", "client.rgw", "-f"],
                   "radosgw")
        self.endpoint = f"http://127.0.0.1:{port}"
        self.wait_for(self.endpoint + "/")
        self.tool("radosgw-admin", "-c", conf, "-n", "client.rgw", "user",
                  "create", "--uid=t", "--display-name=t",
                  "--access-key=" + self.key, "--secret=" + self.secret)


if __name__ == "__main__":
    s3_process.main(Radosgw)
