"""The metadata API of the hub host: everything under /api/ but the bytes of files."""

import hashlib
import json
import urllib.parse

from . import errors, tree
from .access import find_repo, require_bytes, require_user
from .errors import HubError
from .message import Memory, Response, json_response
from .repo import TYPES
from .resolve import resolve_cache

REPO_ROUTES = {}


def repo_route(name, method="GET"):
    def register(function):
        REPO_ROUTES[name, method] = function
        return function
    return register


def api(hub, request):
    """Answer a request whose path begins with /api/."""
    parts = request.segments[1:]
    if parts[0] == "resolve-cache":
        return resolve_cache(hub, request, parts[1:])
    if parts == ["whoami-v2"]:
        return whoami(hub, request)
    if parts[0] == "telemetry":
        return Response(204)
    kind = parts[0][:-1]
    if kind not in TYPES or parts[0] != kind + "s" or len(parts) < 2:
        raise errors.no_route()
    repo_id, action, rest = split_id(hub, parts[1:])
    method = "GET" if request.method == "HEAD" else request.method
    route = REPO_ROUTES.get((action, method))
    if route is None:
        raise errors.no_route()
    repo = find_repo(hub, request, kind, repo_id, for_bytes=action == "auth-check")
    return weak_etag(route(hub, request, repo, rest))


def split_id(hub, parts):
    """(repo id, action, rest): an id has one segment or two, and the path does not say."""
    pair = "/".join(parts[:2])
    actions = {name for name, _ in REPO_ROUTES}
    single = len(parts) == 1 or (parts[1] in actions and pair not in hub.repos)
    after = parts[1:] if single else parts[2:]
    return (parts[0] if single else pair), (after[0] if after else ""), after[1:]


def weak_etag(response):
    if response.status == 200 and response.body.length:
        digest = hashlib.sha1(response.body.data).hexdigest()
        response.headers["ETag"] = f'W/"{digest}"'
    return response


def find_commit(repo, revision):
    commit = repo.resolve(revision)
    if commit is None:
        raise errors.revision_not_found(revision)
    return commit, repo.commits[commit]


def whoami(hub, request):
    user = require_user(hub, request)
    token = {"displayName": user.get("displayName", user["name"]),
             "role": user.get("role", "read")}
    return json_response({"type": "user", "id": "0" * 24, "name": user["name"],
                          "fullname": user.get("fullname", user["name"]), "orgs": [],
                          "auth": {"type": "access_token", "accessToken": token}})


@repo_route("")
def repo_info(hub, request, repo, rest):
    return revision_info(hub, request, repo, [repo.default_branch])


@repo_route("revision")
def revision_info(hub, request, repo, rest):
    commit, snapshot = find_commit(repo, "/".join(rest))
    info = {
        "_id": hashlib.sha1(repo.id.encode()).hexdigest()[:24], "id": repo.id, "sha": commit,
        "private": repo.private, "gated": repo.gated, "disabled": False,
        "lastModified": tree.DATE, "createdAt": tree.DATE, "downloads": 0, "likes": 0,
        "tags": [], "siblings": tree.siblings(repo, snapshot, request.flag("blobs")),
        "usedStorage": sum(file.size for file in snapshot.files.values())}
    if repo.type == "model":
        info["modelId"] = repo.id
    if request.flag("securityStatus"):
        info["securityRepoStatus"] = {"scansDone": True, "filesWithIssues": []}
    wanted = request.query.get("expand", []) + request.query.get("expand[]", [])
    if wanted:
        info = {key: value for key, value in info.items() if key in {"_id", "id", *wanted}}
    return json_response(info)


@repo_route("tree")
def list_tree(hub, request, repo, rest):
    commit, snapshot = find_commit(repo, rest[0] if rest else repo.default_branch)
    folder = "/".join(rest[1:]).strip("/")
    if folder and folder not in snapshot.folders:
        raise errors.entry_not_found(commit)
    entries = tree.list_entries(repo, snapshot, folder, request.flag("recursive"))
    expand = request.flag("expand")
    size = min(repo.page, tree.EXPANDED_PAGE) if expand else repo.page
    limit = request.query.get("limit", [""])[0]
    if limit.isdecimal() and int(limit) > 0:
        size = min(size, int(limit))
    start = 0
    if "cursor" in request.query:
        start = tree.decode_cursor(request.query["cursor"][0])
        if start is None:
            raise HubError(400, "Invalid cursor")
    page = entries[start:start + size]
    if expand:
        page = [tree.expanded(entry, commit) for entry in page]
    headers = {"X-Repo-Commit": commit}
    if start + size < len(entries):
        headers["Link"] = next_link(hub, request, size, start + size)
    return json_response(page, headers)


def next_link(hub, request, size, offset):
    scheme = hub.hub_url.partition(":")[0]
    host = request.headers.get("Host") or hub.hub_url.partition("//")[2]
    query = {"expand": str(request.flag("expand")).lower(),
             "recursive": str(request.flag("recursive")).lower(),
             "limit": size, "cursor": tree.encode_cursor(offset)}
    return f'<{scheme}://{host}{request.raw_path}?{urllib.parse.urlencode(query)}>; rel="next"'


@repo_route("paths-info", "POST")
def paths_info(hub, request, repo, rest):
    commit, snapshot = find_commit(repo, "/".join(rest))
    paths, expand = posted_paths(request)
    found = []
    for path in paths:
        if path in snapshot.files:
            found.append(tree.file_entry(repo, snapshot.files[path]))
        elif path in snapshot.folders:
            found.append(tree.folder_entry(path, snapshot.folders[path]))
    if expand:
        found = [tree.expanded(entry, commit) for entry in found]
    return json_response(found, {"X-Repo-Commit": commit})


def posted_paths(request):
    """(paths, expand) of a JSON or a form body: clients send either."""
    try:
        if "json" in request.headers.get("Content-Type", ""):
            body = json.loads(request.body)
            paths, expand = body["paths"], body.get("expand", False)
        else:
            form = urllib.parse.parse_qs(request.body.decode())
            paths = form["paths"]
            expand = form.get("expand", [""])[0].lower() in ("true", "1")
    except (ValueError, KeyError, TypeError, AttributeError):
        raise HubError(400, "paths-info needs paths") from None
    if isinstance(paths, str):
        paths = [paths]
    if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
        raise HubError(400, "paths-info needs a list of paths")
    return paths, bool(expand)


@repo_route("refs")
def list_refs(hub, request, repo, rest):
    def rows(names, strip, ref_prefix):
        return [{"name": name.removeprefix(strip), "ref": ref_prefix + name,
                 "targetCommit": repo.names[name]} for name in names]

    converts = [name for name in repo.refs if name.startswith("refs/convert/")]
    requests = [name for name in repo.refs if name.startswith("refs/pr/")]
    answer = {"branches": rows(repo.branches, "", "refs/heads/"),
              "converts": rows(converts, "refs/convert/", ""),
              "tags": rows(repo.tags, "", "refs/tags/")}
    if request.flag("include_prs"):
        answer["pullRequests"] = rows(requests, "refs/pr/", "")
    return json_response(answer)


@repo_route("commits")
def list_commits(hub, request, repo, rest):
    commit, _ = find_commit(repo, "/".join(rest))
    history = [{"id": commit, "title": "Add files", "message": "", "date": tree.DATE,
                "authors": [{"user": "test"}]}]
    return json_response(history, {"X-Total-Count": "1"})


@repo_route("auth-check")
def auth_check(hub, request, repo, rest):
    require_bytes(hub, request, repo)
    if rest == ["write"]:
        raise HubError(403, "The test hub is read-only")
    return Response(200, {"Content-Type": "text/plain; charset=utf-8"}, Memory(b"OK"))


@repo_route("xet-read-token")
def xet_token(hub, request, repo, rest):
    commit, _ = find_commit(repo, "/".join(rest))
    raise errors.entry_not_found(commit)
