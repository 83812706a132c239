"""Who asks, which repo they mean, and whether they may."""

from . import errors
from .message import quote, redirect


class Redirected(Exception):
    """The repo answers under another id."""

    def __init__(self, response):
        super().__init__()
        self.response = response


def caller_token(request):
    """(present, token): the token is None when the header is not a bearer token."""
    header = request.headers.get("Authorization")
    if header is None:
        return False, None
    scheme, _, token = header.partition(" ")
    return True, token.strip() if scheme.lower() == "bearer" else None


def require_user(hub, request):
    present, token = caller_token(request)
    if not present:
        raise errors.anonymous()
    user = hub.user_of(token)
    if user is None:
        raise errors.bad_token()
    return user


def find_repo(hub, request, kind, repo_id, for_bytes=False):
    """The repo, if this caller may see it. for_bytes: a gated repo then shows its gate even to
    a token nobody issued, which every other call rejects outright."""
    present, token = caller_token(request)
    known = present and hub.user_of(token) is not None
    repo = hub.repos.get(repo_id)
    gate_answers = for_bytes and repo is not None and repo.gated and not repo.private
    if present and not known and not gate_answers:
        raise errors.bad_token()
    if repo is None or repo.type != kind:
        redirect_if_moved(hub, request, kind, repo_id)
        raise errors.repo_not_found() if known else errors.anonymous()
    if repo.private and token not in repo.tokens:
        raise errors.repo_not_found() if known else errors.anonymous()
    request.repo = repo
    if repo.id in hub.disabled:
        raise errors.disabled()
    return repo


def require_bytes(hub, request, repo):
    """Raise unless the caller may read file contents."""
    _, token = caller_token(request)
    if not repo.gated or token in repo.tokens:
        return
    if token is None or hub.user_of(token) is None:
        raise errors.gated_login(repo.type, repo.id)
    url = f"{hub.hub_url}/{repo.url_prefix}{repo.id}"
    raise errors.gated_refused(repo.type, repo.id, url)


def redirect_if_moved(hub, request, kind, repo_id):
    target = hub.renamed.get(repo_id)
    if target is None:    # the Hub also puts a wrong case right
        target = next((known for known in hub.repos if known.lower() == repo_id.lower()), None)
    if target not in hub.repos or hub.repos[target].type != kind:
        return
    location = request.raw_path.replace(quote(repo_id, "/"), quote(target, "/"), 1)
    if request.raw_query:
        location += "?" + request.raw_query
    raise Redirected(redirect(307, location))
