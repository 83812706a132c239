"""The inputs that a fuzzer starts from: what comments in it name.

    // seeds: GLOB...     files as they are
    // parts: GLOB...     zip archives, as the parts that kit_zip takes
    // pickles: GLOB...   the pickle in an archive, or the file itself
    // headers: GLOB...   the header of a safetensors file
    // dict: NAME...      dictionaries of dict/

Globs are those of the project's root; those of corpus/<noun>, which long
runs found, always count.
"""
import glob
import io
import os
import re
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
SEED_MAX = 1 << 16


def same(data):
    return data


def members(data):
    """(name, bytes) of an archive's entries; none when it is no archive."""
    if not data.startswith(b"PK"):
        return []
    with zipfile.ZipFile(io.BytesIO(data)) as z:
        return [(name.encode(), z.read(name)) for name in z.namelist()]


def parts(data):
    out = b"Z"
    for name, body in members(data):
        if len(name) > 255 or len(body) > 0xffff:
            return b""
        out += bytes([0, len(name)]) + len(body).to_bytes(2, "little")
        out += name + body
    return out if len(out) > 1 else b""


def pickles(data):
    found = [body for name, body in members(data)
             if name.endswith(b"data.pkl")]
    return found[0] if found else b"" if data.startswith(b"PK") else data


def headers(data):
    size = int.from_bytes(data[:8], "little")
    return data[8:8 + size].rstrip(b" ")


FORMS = {"seeds": same, "parts": parts, "pickles": pickles,
         "headers": headers}


def named(source):
    """(word, value) of the comments above."""
    with open(source, encoding="utf-8") as f:
        for word, values in re.findall(r"^// ([a-z]+): (.*)$", f.read(),
                                       re.M):
            for value in values.split():
                yield word, value


def kept_of(name):
    """The files of its corpus here."""
    return sorted(glob.glob(os.path.join(HERE, "corpus", name, "*")))


def put_seeds(name, source, folder):
    """The seeds, each under its own name in one folder."""
    os.makedirs(folder, exist_ok=True)
    found = [(same, path) for path in kept_of(name)]
    for word, pattern in named(source):
        for path in sorted(glob.glob(os.path.join(ROOT, pattern))):
            if word in FORMS and os.path.isfile(path):
                found.append((FORMS[word], path))
    for n, (form, path) in enumerate(found):
        with open(path, "rb") as f:
            data = form(f.read())
        if 0 < len(data) <= SEED_MAX:
            with open(os.path.join(folder, f"seed-{n}"), "wb") as f:
                f.write(data)


def put_dictionary(source, path):
    """All its dictionaries in one file; None when it has none."""
    text = ""
    for word, value in named(source):
        if word == "dict":
            with open(os.path.join(HERE, "dict", value),
                      encoding="ascii") as f:
                text += f.read()
    if not text:
        return None
    with open(path, "w", encoding="ascii") as f:
        f.write(text)
    return path
