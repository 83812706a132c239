"""Repo info, tree, paths-info, refs and the other metadata routes."""

import json
import re
import shutil
import subprocess
import urllib.parse

from .harness import (BIG, BIG_SHA256, COMMIT_OF_PR, EMPTY_GIT, GOOD, ODD_NAME, PINNED, SMALL_GIT,
                      check, expect)

API = "/api/models/acme/tiny"


def next_url(reply):
    match = re.fullmatch(r'<([^>]+)>; rel="next"', reply.header("Link") or "")
    return match and match.group(1)


def by_path(entries):
    return {entry["path"]: entry for entry in entries}


@check
def repo_info(world):
    info = world.ask(API).json()
    expect(info["id"], "acme/tiny", "id")
    expect(info["sha"], world.commit(), "sha of the default branch")
    expect(bool(re.fullmatch("[0-9a-f]{40}", info["sha"])), True, "sha is 40 hex")
    expect({row["rfilename"] for row in info["siblings"]},
           {"config.json", "empty.txt", "empty.bin", "model.safetensors", "onnx/deep/model.bin",
            ODD_NAME}, "siblings")
    expect(set(info["siblings"][0]), {"rfilename"}, "keys of a sibling without blobs")


@check
def repo_info_with_blobs(world):
    reply = world.ask(API + "/revision/main?blobs=true&securityStatus=true")
    rows = {row["rfilename"]: row for row in reply.json()["siblings"]}
    expect(rows["config.json"]["blobId"], SMALL_GIT, "blobId")
    expect(rows["model.safetensors"]["lfs"]["sha256"], BIG_SHA256, "lfs.sha256")
    expect("securityRepoStatus" in reply.json(), True, "securityRepoStatus")
    expect(reply.header("ETag")[:3], 'W/"', "weak ETag")


@check
def repo_info_expand_limits_fields(world):
    info = world.ask(API + "?expand=sha&expand=gated").json()
    expect(set(info), {"_id", "id", "sha", "gated"}, "fields")


@check
def revisions_of_every_kind(world):
    main = world.commit()
    expect(world.commit(revision="v1"), main, "tag naming a branch")
    expect(world.commit(revision="pinned"), PINNED, "tag of a commit")
    expect(world.commit(revision="refs%2Fpr%2F1"), COMMIT_OF_PR, "encoded ref")
    expect(world.commit(revision="refs/pr/1"), COMMIT_OF_PR, "unencoded ref")
    expect(world.commit(revision="feature%2Fx"), PINNED, "branch with a slash")
    expect(world.commit(revision=main), main, "full commit")
    expect(world.commit(revision=main[:8]), main, "short commit")
    old = world.ask(f"{API}/tree/{PINNED}").json()
    expect([entry["path"] for entry in old], ["config.json"], "contents of the pinned commit")
    expect(world.commit(revision="next") != main, True, "other contents, other commit")


@check
def revision_not_found(world):
    for target in (API + "/revision/bad", API + "/tree/bad", "/acme/tiny/resolve/bad/config.json"):
        reply = world.ask(target)
        expect(reply.status, 404, "status of " + target)
        expect(reply.header("X-Error-Code"), "RevisionNotFound", "code of " + target)
        expect(reply.header("X-Error-Message"), "Invalid rev id: bad", "message of " + target)


@check
def tree_recursive(world):
    reply = world.ask(API + "/tree/main?recursive=true&expand=false")
    entries = by_path(reply.json())
    expect(len(entries), 9, "entries with folders")
    expect(entries["config.json"]["oid"], SMALL_GIT, "oid of a git file")
    expect(entries["empty.txt"]["oid"], EMPTY_GIT, "oid of an empty file")
    big = entries["model.safetensors"]
    expect((big["size"], big["lfs"]["oid"], big["lfs"]["size"]), (len(BIG), BIG_SHA256, len(BIG)),
           "LFS entry")
    expect("xetHash" in big, False, "xetHash")
    expect(entries["onnx/deep"]["type"], "directory", "type of a folder")
    expect(next_url(reply), None, "Link on the only page")
    pointer = world.ask("/acme/tiny/raw/main/model.safetensors")
    expect(big["lfs"]["pointerSize"], len(pointer.body), "pointerSize")
    expect(pointer.header("ETag"), f'"{big["oid"]}"', "oid is that of the pointer")


@check
def tree_of_one_level_and_of_a_folder(world):
    top = by_path(world.ask(API + "/tree/main").json())
    expect("onnx" in top and "onnx/deep" not in top, True, "one level")
    for path in ("onnx%2Fdeep", "onnx/deep"):
        entries = world.ask(f"{API}/tree/main/{path}?recursive=true").json()
        expect([entry["path"] for entry in entries], ["onnx/deep/model.bin"], path)
    for path in ("config.json", "absent"):
        reply = world.ask(f"{API}/tree/main/{path}")
        expect((reply.status, reply.header("X-Error-Code")), (404, "EntryNotFound"), path)
        expect(reply.header("X-Repo-Commit"), world.commit(), "commit on a 404")


@check
def tree_oids_are_those_of_git(world):
    if not shutil.which("git"):
        return "skipped, there is no git program to compare with"

    def git(*words):
        return subprocess.run(["git", "-C", world.folder + "/sorted", *words], check=True,
                              capture_output=True, text=True).stdout.split()

    git("init", "-q")
    try:
        git("add", "top")
        entries = by_path(world.ask("/api/models/acme/sorted/tree/main?recursive=true").json())
        tree = git("write-tree")[0]
        expect(entries["top"]["oid"], git("rev-parse", tree + ":top")[0], "git tree SHA-1")
    finally:
        shutil.rmtree(world.folder + "/sorted/.git")
    return None


@check
def tree_expand(world):
    entry = world.ask(API + "/tree/main?expand=true").json()[0]
    expect(entry["lastCommit"]["id"], world.commit(), "lastCommit")
    expect(set(entry["securityFileStatus"]), {"status", "avScan", "pickleImportScan"}, "status")


@check
def tree_pages_of_2500_files(world):
    target, sizes, paths = "/api/models/acme/many/tree/main?recursive=true&expand=false", [], []
    while target:
        reply = world.ask(target)
        sizes.append(len(reply.json()))
        paths += [entry["path"] for entry in reply.json()]
        target = next_url(reply)
        expect(target is None or target.startswith(world.hub + "/"), True, "absolute next URL")
    expect(sizes, [1000, 1000, 500], "page sizes")
    expect(paths, [f"part-{number:04}.json" for number in range(2500)], "paths")


@check
def tree_limit_and_cursor(world):
    target = "/api/models/acme/many/tree/main"
    reply = world.ask(target + "?limit=10")
    expect(len(reply.json()), 10, "limit honoured")
    expect(len(world.ask(next_url(reply)).json()), 10, "limit kept on the next page")
    last = world.ask(API + "/tree/main?limit=6")
    expect((len(last.json()), next_url(last)), (6, None), "a page that is just full")
    expect(len(world.ask(target + "?expand=true").json()), 50, "expanded page")
    expect(world.ask(target + "?cursor=nonsense").status, 400, "status of a bad cursor")


@check
def hostile_tree(world):
    entries = by_path(world.ask("/api/models/acme/evil/tree/main?recursive=true").json())
    expect(entries["../evil"]["size"], 0, "extra entry, verbatim")
    expect(entries["config.json"]["size"], 7, "patched size")


@check
def paths_info_form_and_json(world):
    wanted = ["config.json", "onnx", "absent", ODD_NAME]
    form = urllib.parse.urlencode({"paths": wanted, "expand": "true"}, doseq=True).encode()
    kind = "application/x-www-form-urlencoded"
    replies = [world.ask(API + "/paths-info/main", "POST", body=form,
                         headers={"Content-Type": kind}),
               world.post(API + "/paths-info/main", {"paths": wanted, "expand": True})]
    for reply in replies:
        expect([entry["path"] for entry in reply.json()], ["config.json", "onnx", ODD_NAME],
               "paths")
        expect("lastCommit" in reply.json()[0], True, "expanded")
    expect(world.post(API + "/paths-info/main", {}).status, 400, "status without paths")


@check
def refs(world):
    answer = world.ask(API + "/refs").json()
    expect({row["name"]: row["ref"] for row in answer["branches"]},
           {"main": "refs/heads/main", "next": "refs/heads/next",
            "feature/x": "refs/heads/feature/x"}, "branches")
    expect({row["name"]: row["targetCommit"] for row in answer["tags"]},
           {"v1": world.commit(), "pinned": PINNED}, "tags")
    expect([row["name"] for row in answer["converts"]], ["parquet"], "converts")
    expect("pullRequests" in answer, False, "pull requests unasked")
    rows = world.ask(API + "/refs?include_prs=1").json()["pullRequests"]
    expect(rows, [{"name": "1", "ref": "refs/pr/1", "targetCommit": COMMIT_OF_PR}], "requests")


@check
def whoami(world):
    expect(world.ask("/api/whoami-v2").status, 401, "anonymous")
    expect(world.ask("/api/whoami-v2", token="hf_garbage").header("X-Error-Message"),
           "Invalid credentials in Authorization header", "garbage")
    user = world.ask("/api/whoami-v2", token=GOOD).json()
    expect((user["name"], user["auth"]["accessToken"]["role"]), ("alice", "read"), "user")


@check
def small_routes(world):
    commits = world.ask(API + "/commits/main")
    expect(commits.json()[0]["id"], world.commit(), "commits")
    expect(commits.header("X-Total-Count"), "1", "X-Total-Count")
    expect(world.ask(API + "/xet-read-token/main").status, 404, "xet-read-token")
    expect(world.ask("/api/agent-harnesses").status, 404, "agent-harnesses")
    expect(world.ask("/api/telemetry/x", "HEAD").status, 204, "telemetry")
    for target in ("/", "/api", "/api/models", "/acme/tiny", "/no/such/route", "/api/cows/a/b"):
        reply = world.ask(target)
        expect((reply.status, "error" in reply.json()), (404, True), target)


@check
def other_repo_types_and_single_segment_ids(world):
    expect(world.ask("/api/datasets/acme/data").json()["id"], "acme/data", "dataset info")
    expect(world.ask("/datasets/acme/data/resolve/main/config.json").status, 307, "dataset file")
    expect(world.ask("/api/models/acme/data", token=GOOD).status, 404, "dataset as a model")
    expect(world.ask("/api/models/gpt2").json()["id"], "gpt2", "single segment info")
    expect(len(world.ask("/api/models/gpt2/tree/main").json()), 6, "single segment tree")
    reply = world.ask("/gpt2/resolve/main/config.json")
    expect(world.ask(reply.header("Location")).status, 200, "single segment file")


@check
def rate_limit_headers_and_enforcement(world):
    reply = world.ask(API)
    expect(reply.header("RateLimit").startswith('"api";r='), True, "RateLimit of the API")
    expect('"api";q=' in reply.header("RateLimit-Policy"), True, "RateLimit-Policy")
    resolved = world.ask("/acme/tiny/resolve/main/config.json", "HEAD")
    expect(resolved.header("RateLimit").startswith('"resolvers";'), True, "resolver bucket")
    world.knobs(quota={"api": 2, "window": 60})
    try:
        statuses = [world.ask(API).status for _ in range(3)]
        expect(statuses, [200, 200, 429], "statuses under a quota of two")
        refused = world.ask(API)
        expect(refused.header("RateLimit").startswith('"api";r=0;t='), True, "RateLimit of a 429")
        expect(refused.header("RateLimit-Policy"), '"fixed window";"api";q=2;w=60', "policy")
    finally:
        world.knobs(quota={})


@check
def moving_a_branch_at_run_time(world):
    before = world.commit("acme/moving")
    world.knobs(repos={"acme/moving": {"dir": "next"}})
    expect(world.commit("acme/moving") != before, True, "commit moved")
    expect(world.post("/_test/config", {"repos": {"x/y": {"dri": "next"}}}).status, 400,
           "status of a misspelt key")
    expect("dri" in json.dumps(world.post("/_test/config",
                                          {"repos": {"x/y": {"dri": ""}}}).json()), True,
           "message names the key")
