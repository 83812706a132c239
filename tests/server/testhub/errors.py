"""The error answers of the Hub, and the error of a bad configuration."""


class ConfigError(ValueError):
    """The configuration, or a change posted to /_test/, makes no sense."""


class HubError(Exception):
    """An answer of 400 or more, raised from anywhere inside a route."""

    def __init__(self, status, message, code=None, headers=None):
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.headers = dict(headers or {})
        if status == 401:
            self.headers["WWW-Authenticate"] = (
                'Bearer realm="Authentication required", charset="UTF-8"')


def anonymous():
    # No X-Error-Code: the Hub does not tell a stranger whether the repo exists.
    return HubError(401, "Invalid username or password.")


def bad_token():
    return HubError(401, "Invalid credentials in Authorization header")


def repo_not_found():
    return HubError(404, "Repository not found", "RepoNotFound")


def revision_not_found(revision):
    return HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")


def entry_not_found(commit):
    # The commit on a 404 is what lets a client remember that the file is absent.
    return HubError(404, "Entry not found", "EntryNotFound", {"X-Repo-Commit": commit})


def gated_login(kind, repo_id):
    return HubError(401, f"Access to {kind} {repo_id} is restricted. You must have access to it "
                         "and be authenticated to access it. Please log in.", "GatedRepo")


def gated_refused(kind, repo_id, url):
    return HubError(403, f"Access to {kind} {repo_id} is restricted and you are not in the "
                         f"authorized list. Visit {url} to ask for access.", "GatedRepo")


def disabled():
    return HubError(403, "Access to this resource is disabled.")


def no_route():
    return HubError(404, "The test hub has no such route")
