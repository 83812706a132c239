"""Files: /resolve/ and /raw/ on the hub host, and the signed URLs of the bytes host."""

import gzip
import mimetypes
import re

from . import errors
from .access import find_repo, require_bytes
from .hub import object_path, xet_hash
from .message import Memory, OnDisk, Response, change_headers, quote, redirect

FULL_COMMIT = re.compile(r"[0-9a-f]{40}")
GZIP_LIMIT = 1 << 20


def web(hub, request):
    """Answer /[type]s/{id}/(resolve|raw)/{revision}/{path}; anything else is not found."""
    parts = request.segments
    kind = "model"
    if parts[0] in ("datasets", "spaces", "kernels"):
        kind, parts = parts[0][:-1], parts[1:]
    for length in (2, 1):
        if len(parts) > length + 1 and parts[length] in ("resolve", "raw"):
            break
    else:
        raise errors.no_route()
    repo = find_repo(hub, request, kind, "/".join(parts[:length]), for_bytes=True)
    revision, path = split_revision(parts[length + 1:])
    commit, file = find_file(hub, request, repo, revision, path)
    if parts[length] == "raw":
        return raw(commit, file)
    return resolve(hub, request, repo, commit, file)


def split_revision(parts):
    """(revision, path). A revision is one segment, but refs/pr/N may come unencoded."""
    if len(parts) > 3 and parts[0] == "refs" and parts[1] in ("pr", "convert"):
        return "/".join(parts[:3]), "/".join(parts[3:])
    return parts[0], "/".join(parts[1:])


def find_file(hub, request, repo, revision, path):
    commit = repo.resolve(revision)
    if commit is None:
        raise errors.revision_not_found(revision)
    require_bytes(hub, request, repo)
    file = repo.commits[commit].files.get(path)
    if file is None:
        raise errors.entry_not_found(commit)
    return commit, file


def resolve(hub, request, repo, commit, file):
    headers = {"X-Repo-Commit": commit, "X-Linked-Etag": f'"{file.etag}"',
               "Accept-Ranges": "bytes", "Content-Disposition": disposition(file)}
    if unchanged(request, file):
        return not_modified(commit, file)
    if repo.direct:
        headers["X-Linked-Size"] = str(file.size)
        return contents(file, {**headers, "ETag": f'"{file.etag}"'})
    if file.sha256:
        return redirect_to_bytes(hub, request, repo, commit, file, headers)
    # The live Hub sends no X-Linked-Size here; a client must not need one.
    target = (f"/api/resolve-cache/{repo.type}s/{repo.id}/{commit}/{quote(file.path, '/')}"
              f"?{quote(request.raw_path)}=&etag={quote(chr(34) + file.etag + chr(34))}")
    return redirect(307, target, headers)


def redirect_to_bytes(hub, request, repo, commit, file, headers):
    headers["X-Linked-Size"] = str(file.size)
    headers["Cache-Control"] = "no-store"
    if repo.xet:
        headers["X-Xet-Hash"] = xet_hash(file)
        headers["Link"] = (f"<{hub.hub_url}/api/{repo.type}s/{repo.id}/xet-read-token/{commit}>; "
                           'rel="xet-auth"')
    target = hub.signer.sign(object_path(repo, file), hub.url_ttl,
                             {"response-content-disposition": disposition(file)})
    ollama = request.headers.get("User-Agent", "").startswith("ollama/")
    return redirect(307 if ollama else 302, hub.bytes_url + target, headers)


def resolve_cache(hub, request, parts):
    """Answer /api/resolve-cache/{type}s/{id}/{commit}/{path}, where small files live."""
    if len(parts) < 4:
        raise errors.no_route()
    length = 1 if FULL_COMMIT.fullmatch(parts[2]) else 2
    repo = find_repo(hub, request, parts[0][:-1], "/".join(parts[1:length + 1]), for_bytes=True)
    commit, file = find_file(hub, request, repo, parts[length + 1], "/".join(parts[length + 2:]))
    if unchanged(request, file):
        return not_modified(commit, file)
    response = contents(file, {"X-Repo-Commit": commit, "ETag": f'"{file.etag}"',
                               "Accept-Ranges": "bytes",
                               "Content-Disposition": disposition(file)})
    if not file.sha256:
        response.headers["Content-Type"] = text_type(file)
    return compress(response, request, file) if hub.gzip else response


def raw(commit, file):
    headers = {"X-Repo-Commit": commit, "ETag": f'"{file.oid}"',
               "Content-Type": "text/plain; charset=utf-8"}
    body = Memory(file.pointer) if file.sha256 else OnDisk(file.local, 0, file.size)
    return Response(200, headers, body, ranged=True)


def bytes_host(hub, request):
    """Everything the bytes host does: signed reads. It knows no users."""
    if request.method not in ("GET", "HEAD"):
        return denied(405, "MethodNotAllowed", "The method is not allowed here")
    problem = hub.signer.problem(request.raw_path, request.query)
    file = hub.objects.get(request.raw_path)
    if problem or file is None:
        return denied(403, "AccessDenied", problem or "No such object")
    if hub.bytes_reject_auth and request.headers.get("Authorization"):
        return denied(400, "InvalidArgument", "Only one auth mechanism allowed")
    # The CDN has an ETag of its own; taking it for the SHA-256 is a classic mistake.
    headers = {"ETag": f'"{xet_hash(file)}"', "Accept-Ranges": "bytes"}
    asked = request.query.get("response-content-disposition")
    if asked:
        headers["Content-Disposition"] = asked[0]
    return contents(file, headers)


def contents(file, headers):
    return Response(200, {"Content-Type": "application/octet-stream", **headers},
                    OnDisk(file.local, 0, file.size), ranged=True)


def compress(response, request, file):
    """What the Hub does to a small text for a client that offers gzip: no Content-Length."""
    offers = "gzip" in request.headers.get("Accept-Encoding", "")
    is_text = response.headers["Content-Type"].startswith("text/")
    if not offers or not is_text or request.method != "GET" or file.size > GZIP_LIMIT:
        return response
    with open(file.local, "rb") as stream:
        packed = gzip.compress(stream.read())
    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(packed), packed)
    headers = change_headers(response.headers, {"Content-Encoding": "gzip",
                                                "Transfer-Encoding": "chunked"})
    return Response(200, headers, Memory(chunked))


def denied(status, code, message):
    text = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return Response(status, {"Content-Type": "application/xml"}, Memory(text.encode()))


def disposition(file):
    name = file.path.rpartition("/")[2]
    plain = "".join(c if " " <= c <= "~" and c not in '"\\' else "_" for c in name)
    return f"inline; filename*=UTF-8''{quote(name)}; filename=\"{plain}\";"


def text_type(file):
    guess = mimetypes.guess_type(file.path)[0] or "text/plain"
    is_text = guess.startswith("text/") or guess == "application/json"
    return "text/plain; charset=utf-8" if is_text else guess


def unchanged(request, file):
    tags = request.headers.get("If-None-Match", "")
    return any(tag.strip().removeprefix("W/").strip('"') in (file.etag, "*")
               for tag in tags.split(",") if tag.strip())


def not_modified(commit, file):
    return Response(304, {"X-Repo-Commit": commit, "ETag": f'"{file.etag}"',
                          "X-Linked-Etag": f'"{file.etag}"'})
