#!/usr/bin/python3
"""The test hub: serves folders the way the Hugging Face Hub does, and fails on request.

See README.md next to this file.
"""

import argparse
import contextlib
import json
import os
import signal
import ssl
import sys
import threading

sys.dont_write_bytecode = True    # leave no __pycache__ in the source tree

from testhub.errors import ConfigError
from testhub.hub import Hub
from testhub.listener import Listener

HUB_ADDRESS = "127.0.0.1"
# Another host, so that a token sent across hosts is a leak one can see.
BYTES_ADDRESSES = ("127.0.0.2", "localhost")


def main():
    parser = argparse.ArgumentParser(description="a local Hugging Face Hub for tests")
    parser.add_argument("--config", required=True, help="JSON configuration")
    parser.add_argument("--ready", required=True, help="written when the server is up")
    parser.add_argument("--log", help="request log, JSON lines, appended to")
    options = parser.parse_args()
    stopping = catch_signals()
    try:
        with open(options.config, encoding="utf-8") as stream:
            config = json.load(stream)
        base = os.path.dirname(os.path.abspath(options.config))
        hub = Hub(config, base, options.log)
        tls = load_tls(config.get("tls"), base)
    except (ConfigError, OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
        sys.exit(f"hub.py: {options.config}: {problem}")
    hub.stopping = stopping
    serve(hub, tls, options.ready)


def catch_signals():
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    return stopping


def load_tls(spec, base):
    if not spec:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(os.path.join(base, spec["cert"]), os.path.join(base, spec["key"]))
    return context


def serve(hub, tls, ready):
    """Run both hosts until the stopping event is set."""
    listeners = [Listener(HUB_ADDRESS, "hub", hub, tls), listen_for_bytes(hub, tls)]
    hub.hub_url, hub.bytes_url = (listener.url for listener in listeners)
    threads = [threading.Thread(target=listener.serve_forever, args=(0.05,))
               for listener in listeners]
    for thread in threads:
        thread.start()
    write_ready(ready, {"hub": hub.hub_url, "bytes": hub.bytes_url, "pid": os.getpid()})
    hub.stopping.wait()
    for listener, thread in zip(listeners, threads):
        listener.shutdown()
        thread.join()
        listener.server_close()
    with contextlib.suppress(FileNotFoundError):
        os.unlink(ready)


def listen_for_bytes(hub, tls):
    for address in BYTES_ADDRESSES:
        try:
            return Listener(address, "bytes", hub, tls)
        except OSError:    # some systems have 127.0.0.1 only
            continue
    sys.exit("hub.py: no second loopback address to listen on")


def write_ready(path, value):
    partial = f"{path}.{os.getpid()}.partial"
    with open(partial, "w", encoding="utf-8") as stream:
        json.dump(value, stream)
        stream.write("\n")
    os.replace(partial, path)


if __name__ == "__main__":
    main()
