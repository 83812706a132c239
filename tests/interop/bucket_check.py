#!/usr/bin/env python3
"""The official client, and a mirror of a volume in object storage."""
# packages: safetensors huggingface_hub tokenizers gguf
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
for folder in ("..", "../e2e", "../server"):
    sys.path.insert(0, os.path.join(HERE, folder))
import kit  # noqa: E402
import pulling  # noqa: E402
import radosgw  # noqa: E402
import s3_volume  # noqa: E402
import serve_bucket  # noqa: E402

OFFICIAL = """
from huggingface_hub import HfApi, snapshot_download
print([b.name for b in HfApi().list_repo_refs("acme/m").branches])
print(snapshot_download("acme/m"))
"""


def main():
    tap = kit.Tap()
    why = radosgw.Radosgw.missing()
    if why:
        tap.skip("huggingface_hub and a mirror of a bucket", why)
        tap.done()
    with radosgw.Radosgw() as server:
        b = s3_volume.Bench(server)
        team = serve_bucket.Team(b)
        team.bring([serve_bucket.REPO])
        with serve_bucket.Mirror(b) as m:
            env = kit.clean_env(b.at(), HF_ENDPOINT=m.url,
                                HF_HUB_DISABLE_PROGRESS_BARS=1,
                                HF_HUB_DISABLE_TELEMETRY=1)
            done = subprocess.run([sys.executable, "-c", OFFICIAL], env=env,
                                  capture_output=True, text=True)
            said = done.stdout.splitlines()
            tap.eq(said[:1], ["['main']"], "huggingface_hub lists the refs of "
                   "a mirrored bucket")
            wrong = pulling.matches(said[-1], team.files) if said else "none"
            tap.ok(done.returncode == 0 and wrong is None,
                   "and takes a snapshot of it", f"{wrong}\n{done.stderr}")
        b.close()
    tap.done()


if __name__ == "__main__":
    main()
