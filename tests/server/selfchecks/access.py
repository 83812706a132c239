"""Tokens, gates, private and renamed repos: every row of the error table."""

from .harness import GARBAGE, GOOD, OTHER, SMALL, check, expect

INVALID = "Invalid credentials in Authorization header"


def answer(world, target, token=None):
    reply = world.ask(target, token=token)
    return reply.status, reply.header("X-Error-Code")


@check
def missing_repo(world):
    for target in ("/api/models/no/repo", "/no/repo/resolve/main/x"):
        reply = world.ask(target)
        expect((reply.status, reply.header("X-Error-Code")), (401, None), "anonymous " + target)
        expect(reply.header("X-Error-Message"), "Invalid username or password.", "message")
        expect((reply.header("WWW-Authenticate") or "").startswith("Bearer realm="), True,
               "WWW-Authenticate")
        expect(answer(world, target, GOOD), (404, "RepoNotFound"), "with a token " + target)


@check
def garbage_token_on_a_public_repo(world):
    for target in ("/api/models/acme/tiny", "/acme/tiny/resolve/main/config.json"):
        reply = world.ask(target, token=GARBAGE)
        expect((reply.status, reply.header("X-Error-Message")), (401, INVALID), target)


@check
def private_repo(world):
    targets = ("/api/models/acme/private", "/api/models/acme/private/tree/main",
               "/api/models/acme/private/refs", "/acme/private/resolve/main/model.safetensors")
    for target in targets:
        expect(answer(world, target), (401, None), "anonymous " + target)
        expect(answer(world, target, OTHER), (404, "RepoNotFound"), "other user " + target)
        expect(answer(world, target, GARBAGE), (401, None), "garbage token " + target)
        expect(world.ask(target, token=GOOD).status < 400, True, "allowed " + target)


@check
def private_bytes_need_no_token_on_the_bytes_host(world):
    url = world.signed("/acme/private/resolve/main/model.safetensors", token=GOOD)
    expect(world.ask(url).status, 200, "signed URL without a token")


@check
def gated_repo(world):
    for target in ("/api/models/acme/gated", "/api/models/acme/gated/tree/main"):
        for token in (None, OTHER, GOOD):
            expect(world.ask(target, token=token).status, 200, f"{token} {target}")
    expect(world.ask("/api/models/acme/gated").json()["gated"], "auto", "gated field")
    for target in ("/acme/gated/resolve/main/model.safetensors",
                   "/acme/gated/resolve/main/config.json", "/api/models/acme/gated/auth-check"):
        expect(answer(world, target), (401, "GatedRepo"), "anonymous " + target)
        expect(answer(world, target, GARBAGE), (401, "GatedRepo"), "garbage " + target)
        expect(answer(world, target, OTHER), (403, "GatedRepo"), "other user " + target)
        expect(world.ask(target, token=GOOD).status < 400, True, "allowed " + target)
    message = world.ask("/acme/gated/resolve/main/config.json", token=OTHER).header(
        "X-Error-Message")
    expect("not in the authorized list" in message, True, "message")


@check
def resolve_cache_checks_the_token_too(world):
    target = world.ask("/acme/private/resolve/main/config.json", token=GOOD).header("Location")
    expect(answer(world, target), (401, None), "private, anonymous")
    expect(answer(world, target, OTHER), (404, "RepoNotFound"), "private, other user")
    expect(world.ask(target, token=GOOD).body, SMALL, "private, allowed")
    target = world.ask("/acme/gated/resolve/main/config.json", token=GOOD).header("Location")
    expect(answer(world, target), (401, "GatedRepo"), "gated, anonymous")
    expect(world.ask(target, token=GOOD).body, SMALL, "gated, allowed")


@check
def auth_check(world):
    expect(world.ask("/api/models/acme/tiny/auth-check").status, 200, "public")
    expect(world.ask("/api/models/acme/tiny/auth-check/write", token=GOOD).status, 403, "write")
    expect(answer(world, "/api/models/acme/private/auth-check"), (401, None), "private")


@check
def disabled_repo(world):
    for target in ("/api/models/acme/disabled", "/acme/disabled/resolve/main/config.json"):
        reply = world.ask(target)
        expect((reply.status, reply.header("X-Error-Code"), reply.header("X-Error-Message")),
               (403, None, "Access to this resource is disabled."), target)


@check
def renamed_repo(world):
    reply = world.ask("/api/models/old/name/tree/main?recursive=true")
    expect((reply.status, reply.header("Location")),
           (307, "/api/models/acme/tiny/tree/main?recursive=true"), "API")
    reply = world.ask("/old/name/resolve/main/config.json", "HEAD")
    expect((reply.status, reply.header("Location")),
           (307, "/acme/tiny/resolve/main/config.json"), "resolve")
    expect(world.ask("/api/models/Acme/TINY").header("Location"), "/api/models/acme/tiny",
           "wrong case")
    expect(world.ask("/api/datasets/old/name").status, 401, "renamed, but of another type")
