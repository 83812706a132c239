#!/usr/bin/env python3
"""Runs the official Python client against the test hub.

Not part of the ordinary tests, since it needs a package from the network:

    python3 -m venv /tmp/v && /tmp/v/bin/pip install huggingface_hub
    /tmp/v/bin/python tests/server/official_client.py
"""

import logging
import os
import shutil
import sys
import tempfile
import warnings

sys.dont_write_bytecode = True

from selfchecks.harness import (BIG, BIG_SHA256, COMMIT_OF_PR, GOOD, ODD_NAME, OTHER, SMALL,
                                SMALL_GIT, World, expect, make_config, make_contents)

CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


def read(*parts):
    with open(os.path.join(*parts), "rb") as stream:
        return stream.read()


def expect_error(name, function, *args, **options):
    try:
        function(*args, **options)
    except Exception as problem:
        expect(type(problem).__name__, name, "error class")
    else:
        raise AssertionError(f"no {name}")


def expect_tiny(folder):
    expect(read(folder, "config.json"), SMALL, "small file")
    expect(read(folder, "empty.txt") + read(folder, "empty.bin"), b"", "empty files")
    expect(read(folder, "model.safetensors") == BIG, True, "LFS file")
    expect(read(folder, "onnx/deep/model.bin"), SMALL, "nested LFS file")
    expect(read(folder, ODD_NAME), SMALL, "odd name")


@check
def snapshot(client, world):
    folder = client.snapshot_download("acme/tiny")
    expect_tiny(folder)
    expect(os.path.basename(folder), world.commit(), "folder name")
    blobs = os.path.join(folder, "..", "..", "blobs")
    expect({SMALL_GIT, BIG_SHA256} <= set(os.listdir(blobs)), True, "blob names")


@check
def warm_snapshot_is_one_request(client, world):
    world.post("/_test/reset", None)
    client.snapshot_download("acme/tiny")
    expect([record["path"].partition("?")[0] for record in world.log()],
           ["/api/models/acme/tiny/revision/main"], "requests")


@check
def revisions(client, world):
    for revision in ("v1", "refs/pr/1", COMMIT_OF_PR):
        expect_tiny(client.snapshot_download("acme/tiny", revision=revision))
    folder = client.snapshot_download("acme/tiny", revision="next")
    expect(read(folder, "config.json"), b"changed\n", "other branch")


@check
def other_repos(client, world):
    expect_tiny(client.snapshot_download("gpt2"))
    expect_tiny(client.snapshot_download("acme/data", repo_type="dataset"))
    expect_tiny(client.snapshot_download("acme/direct"))
    expect_tiny(client.snapshot_download("old/name"))
    expect_tiny(client.snapshot_download("acme/private", token=GOOD))
    expect_tiny(client.snapshot_download("acme/gated", token=GOOD))


@check
def local_dir(client, world):
    folder = os.path.join(world.folder, "local")
    client.snapshot_download("acme/tiny", local_dir=folder)
    expect_tiny(folder)


@check
def gzipped_texts(client, world):
    world.knobs(gzip=True)
    try:
        expect_tiny(client.snapshot_download("acme/tiny", cache_dir=world.folder + "/zipped"))
    finally:
        world.knobs(gzip=False)


@check
def paged_tree(client, world):
    entries = list(client.HfApi().list_repo_tree("acme/many", recursive=True))
    expect(len(entries), 2500, "entries")
    folder = client.snapshot_download("acme/many", allow_patterns="part-24?7.json")
    expect(len(os.listdir(folder)), 10, "files of the last page")


@check
def metadata_calls(client, world):
    api = client.HfApi()
    info = api.model_info("acme/tiny", files_metadata=True, securityStatus=True)
    expect({row.rfilename: row.size for row in info.siblings}["model.safetensors"], len(BIG),
           "size in the siblings")
    expanded = list(api.list_repo_tree("acme/tiny", expand=True))
    expect(expanded[0].last_commit.oid, info.sha, "last commit")
    found = api.get_paths_info("acme/tiny", ["config.json", "absent"], expand=True)
    expect([entry.blob_id for entry in found], [SMALL_GIT], "paths-info")
    refs = api.list_repo_refs("acme/tiny", include_pull_requests=True)
    expect(refs.pull_requests[0].target_commit, COMMIT_OF_PR, "pull request")
    expect(api.list_repo_commits("acme/tiny")[0].commit_id, info.sha, "commits")
    expect(api.whoami(token=GOOD)["name"], "alice", "whoami")
    api.auth_check("acme/gated", token=GOOD)
    expect_error("GatedRepoError", api.auth_check, "acme/gated", token=OTHER)


@check
def errors(client, world):
    get = client.hf_hub_download
    expect_error("RevisionNotFoundError", get, "acme/tiny", "config.json", revision="bad")
    expect_error("RemoteEntryNotFoundError", get, "acme/tiny", "absent.json")
    expect_error("GatedRepoError", get, "acme/gated", "model.safetensors",
                 cache_dir=world.folder + "/gated")
    expect_error("GatedRepoError", get, "acme/gated", "model.safetensors", token=OTHER,
                 cache_dir=world.folder + "/gated")
    expect_error("RepositoryNotFoundError", get, "acme/private", "config.json", token=OTHER,
                 cache_dir=world.folder + "/private")
    expect_error("DisabledRepoError", client.HfApi().model_info, "acme/disabled")


@check
def faults(client, world):
    world.faults({"host": "bytes", "path": "*safetensors", "cut": 1000},
                 {"host": "hub", "path": "*/resolve/*", "status": 429,
                  "headers": {"RateLimit": '"resolvers";r=0;t=1'}})
    folder = client.snapshot_download("acme/tiny", cache_dir=world.folder + "/faulty")
    expect_tiny(folder)
    expect(sum(rule["seen"] > 0 for rule in world.ask("/_test/faults").json()), 2, "rules used")
    world.faults({"host": "bytes", "path": "*safetensors", "flip": 1000})
    path = client.hf_hub_download("acme/tiny", "model.safetensors",
                                  cache_dir=world.folder + "/flipped")
    expect(read(path) != BIG, True, "a flipped bit goes unnoticed")


@check
def no_token_reaches_the_bytes_host(client, world):
    world.post("/_test/reset", None)
    folder = world.folder + "/again"
    expect_tiny(client.snapshot_download("acme/private", token=GOOD, cache_dir=folder))
    tokens = {record["host"]: record["authorization"] for record in world.log()}
    expect(tokens, {"hub": "Bearer " + GOOD, "bytes": None}, "tokens by host")


@check
def scan_is_clean(client, world):
    for name in ("cache", "zipped", "faulty", "again"):
        report = client.scan_cache_dir(os.path.join(world.folder, name))
        expect([str(warning) for warning in report.warnings], [], "warnings in " + name)
        expect(len(report.repos) > 0, True, "repos in " + name)


def main():
    folder = tempfile.mkdtemp(prefix="testhub-")
    failed = 0
    try:
        make_contents(folder)
        world = World(folder, make_config())
        # The client reads its settings once, when it is imported.
        os.environ.update(HF_ENDPOINT=world.hub, HF_HUB_DISABLE_XET="1", HF_HOME=folder + "/home",
                          HF_HUB_CACHE=folder + "/cache", HF_HUB_DISABLE_PROGRESS_BARS="1",
                          HF_HUB_DISABLE_TELEMETRY="1", HF_HUB_DISABLE_IMPLICIT_TOKEN="1")
        warnings.simplefilter("ignore")
        import huggingface_hub as client
        client.logging.set_verbosity(logging.CRITICAL)
        print(f"# huggingface_hub {client.__version__}")
        try:
            for function in CHECKS:
                world.faults()
                try:
                    function(client, world)
                    print(f"ok {function.__name__}", flush=True)
                except Exception as problem:
                    failed += 1
                    print(f"not ok {function.__name__}: {problem!r}", flush=True)
        finally:
            world.stop()
    finally:
        shutil.rmtree(folder)
    print(f"{len(CHECKS) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
