#!/usr/bin/env python3
"""Runs the official Python client against the test hub.

tests/interop/official_check.py runs it in `make test`; by hand:

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
def every_repo_type(client, world):
    world.knobs(repos={"acme/" + kind: {"dir": "tiny", "type": kind}
                       for kind in ("space", "kernel")})
    for kind in ("space", "kernel"):
        try:
            expect_tiny(client.snapshot_download("acme/" + kind, repo_type=kind))
        except ValueError:    # older clients know no kernels
            expect(kind, "kernel", "a type the client does not know")


@check
def short_commits_and_unquoted_refs(client, world):
    path = client.hf_hub_download("acme/tiny", "config.json", revision=COMMIT_OF_PR[:9])
    expect(read(path), SMALL, "bytes")
    expect(COMMIT_OF_PR in path, True, "the full commit names the folder")


@check
def etags_in_every_form(client, world):
    for name, form in (("weak", 'W/"%s"'), ("bare", "%s")):
        cache = os.path.join(world.folder, name)
        world.faults({"path": "*/resolve/*config.json", "times": -1,
                      "headers": {"X-Linked-Etag": form % SMALL_GIT}})
        path = client.hf_hub_download("acme/tiny", "config.json", cache_dir=cache)
        expect(os.path.basename(os.path.realpath(path)), SMALL_GIT, name)


@check
def absence_is_remembered_with_a_commit_only(client, world):
    for name, drop in (("known", {}), ("unknown", {"X-Repo-Commit": None})):
        cache = os.path.join(world.folder, "absent-" + name)
        if drop:
            world.faults({"path": "*/resolve/*", "times": -1, "headers": drop})
        expect_error("RemoteEntryNotFoundError", client.hf_hub_download, "acme/tiny",
                     "absent.json", cache_dir=cache)
        marks = [entry for where, _, names in os.walk(cache) if ".no_exist" in where
                 for entry in names]
        expect(marks, [] if drop else ["absent.json"], name)


@check
def a_missing_header_is_no_hub(client, world):
    expect_error("LocalEntryNotFoundError", client.hf_hub_download, "acme/bare", "config.json",
                 cache_dir=world.folder + "/bare")


@check
def ranges(client, world):
    world.post("/_test/reset", None)
    with client.HfFileSystem(skip_instance_cache=True).open(
            "acme/tiny/model.safetensors", block_size=1000) as stream:
        stream.seek(5000)
        expect(stream.read(100) == BIG[5000:5100], True, "bytes from the middle")
    ranged = [record for record in world.log() if record["range"]]
    expect({record["status"] for record in ranged if record["host"] == "bytes"}, {206}, "status")


@check
def resumes_after_ten_mebibytes(client, world):
    size = 24 << 20
    path = os.path.join(world.folder, "long", "model.bin")
    os.makedirs(os.path.dirname(path))
    with open(path, "wb") as stream:
        for number in range(size >> 20):
            stream.write(bytes([number]) * (1 << 20))
    world.knobs(repos={"acme/long": {"dir": "long"}})
    for name, rule in (("cut", {"cut": 15 << 20}), ("no ranges", {"ignore_range": True})):
        world.post("/_test/reset", None)
        world.faults({"host": "bytes", "cut": 15 << 20}, {"host": "bytes", **rule})
        got = client.hf_hub_download("acme/long", "model.bin",
                                     cache_dir=os.path.join(world.folder, "resumed", name))
        expect(read(got) == read(path), True, name)
        asked = [record["range"] for record in world.log() if record["host"] == "bytes"]
        expect(any(asked), True, "a range was asked for: " + name)


@check
def expired_urls_are_final_for_it(client, world):
    world.knobs(url_ttl=0)
    try:
        client.hf_hub_download("acme/tiny", "model.safetensors",
                               cache_dir=world.folder + "/expired")
    except Exception as problem:
        expect("403" in str(problem), True, "the error names 403")
    else:
        raise AssertionError("no error")
    finally:
        world.knobs(url_ttl=3600)


@check
def a_quota_is_waited_for(client, world):
    world.knobs(quota={"resolvers": 4, "window": 2})
    try:
        expect_tiny(client.snapshot_download("acme/tiny", cache_dir=world.folder + "/quota"))
        expect(any(record["status"] == 429 for record in world.log()), True, "429 was met")
    finally:
        world.knobs(quota={})


@check
def a_bytes_host_that_rejects_tokens(client, world):
    world.knobs(bytes_reject_auth=True)
    try:
        expect_tiny(client.snapshot_download("acme/private", token=GOOD,
                                             cache_dir=world.folder + "/rejecting"))
    finally:
        world.knobs(bytes_reject_auth=False)


@check
def xet_is_optional(client, world):
    expect_tiny(client.snapshot_download("acme/xet"))


@check
def patterns(client, world):
    names = ["README.md", "data/a.json", "data/sub/b.json", "A.JSON", "x[1].txt", "dir2"]
    for name in names:
        full = os.path.join(world.folder, "vectors", name)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "wb") as stream:
            stream.write(name.encode())
    world.knobs(repos={"acme/vectors": {"dir": "vectors"}})
    wanted = {"*.json": ["data/a.json", "data/sub/b.json"], "data/": ["data/a.json",
              "data/sub/b.json"], "dir": [], "*.JSON": ["A.JSON"], "x[[]1].txt": ["x[1].txt"],
              "[!d]*": ["A.JSON", "README.md", "x[1].txt"]}
    for number, (pattern, files) in enumerate(wanted.items()):
        folder = client.snapshot_download("acme/vectors", allow_patterns=pattern,
                                          cache_dir=f"{world.folder}/v{number}")
        got = sorted(os.path.relpath(os.path.join(where, name), folder)
                     for where, _, found in os.walk(folder) for name in found)
        expect(got, files, pattern)


@check
def scan_is_clean(client, world):
    for name in ("cache", "zipped", "faulty", "again", "quota", "rejecting"):
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
