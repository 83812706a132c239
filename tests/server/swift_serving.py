"""Swift's four servers in one process: swift_serving.py DIR PORT (swift.py)."""
import os
import sys


def write(path, text):
    with open(path, "w") as f:
        f.write(text)


def configure(folder, port):
    """Write what the four servers read; their ports by name."""
    etc = folder + "/etc"
    for d in (etc, folder + "/node/d1", folder + "/cache"):
        os.makedirs(d, exist_ok=True)
    write(etc + "/swift.conf",
          "[swift-hash]\nswift_hash_path_suffix=s\nswift_hash_path_prefix=p\n"
          "[storage-policy:0]\nname=one\ndefault=yes\n[swift-constraints]\n")
    ports = {"proxy": port, "container": port + 1, "account": port + 2,
             "object": port + 3}
    for n in ("account", "container", "object"):
        write(f"{etc}/{n}.conf",
              f"[DEFAULT]\nbind_ip=127.0.0.1\nbind_port={ports[n]}\n"
              f"swift_dir={etc}\ndevices={folder}/node\nmount_check=false\n"
              f"disable_fallocate=true\n[pipeline:main]\npipeline={n}-server\n"
              f"[app:{n}-server]\nuse=egg:swift#{n}\n"
              f"recon_cache_path={folder}/cache\n")
    options = {
        "catch_errors": "", "gatekeeper": "", "healthcheck": "",
        # tempauth wants a cache; one that refuses connections will do
        "cache": "memcache_servers=127.0.0.1:9\n",
        "listing_formats": "", "bulk": "",
        "s3api": "location=us-east-1\n",
        "tempauth": "user_test_tester=testing .admin\n",
        "copy": "", "slo": "minimum_segment_size=1\n", "dlo": "",
        "versioned_writes": "allow_object_versioning=true\n", "symlink": "",
    }
    text = (f"[DEFAULT]\nbind_ip=127.0.0.1\nbind_port={port}\n"
            f"swift_dir={etc}\n[pipeline:main]\n"
            f"pipeline={' '.join(options)} proxy-server\n"
            "[app:proxy-server]\nuse=egg:swift#proxy\n"
            "account_autocreate=true\n")
    for n, more in options.items():
        egg = "memcache" if n == "cache" else n
        text += f"[filter:{n}]\nuse=egg:swift#{egg}\n{more}"
    write(etc + "/proxy.conf", text)
    return etc, ports


def make_rings(etc, ports):
    from swift.common.ring import RingBuilder
    for n in ("account", "container", "object"):
        ring = RingBuilder(1, 1, 1)
        ring.add_dev({"region": 1, "zone": 1, "ip": "127.0.0.1",
                      "port": ports[n], "device": "d1", "weight": 1})
        ring.rebalance()
        ring.get_ring().save(f"{etc}/{n}.ring.gz")


class Quiet:
    def write(self, *words):
        pass

    def flush(self):
        pass


def serve(folder, port):
    import eventlet
    eventlet.monkey_patch()
    import eventlet.wsgi
    etc, ports = configure(folder, port)
    from swift.common import utils
    utils.set_swift_dir(etc)
    make_rings(etc, ports)
    from swift.common.wsgi import loadapp
    from swift.common.http_protocol import SwiftHttpProtocol

    class Protocol(SwiftHttpProtocol):
        default_request_version = "HTTP/1.0"

    threads = []
    for n in ("account", "container", "object", "proxy"):
        app = loadapp(f"{etc}/{n}.conf", global_conf={"log_name": n})
        s = eventlet.listen(("127.0.0.1", ports[n]), backlog=512)
        threads.append(eventlet.spawn(
            eventlet.wsgi.server, s, app, Quiet(), max_size=256,
            protocol=Protocol, capitalize_response_headers=False))
    for t in threads:
        t.wait()


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
