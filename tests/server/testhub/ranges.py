"""The Range header: one byte range, everything else is ignored as HTTP allows."""

import re

SINGLE = re.compile(r"bytes=(\d*)-(\d*)")
UNSATISFIABLE = object()


def parse(header, size):
    """(start, length), None for the whole body, or UNSATISFIABLE."""
    match = SINGLE.fullmatch(header.strip()) if header else None
    # A zero-byte file has no satisfiable range, but one client needs a success to learn the size.
    if not match or size == 0 or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        length = min(int(last), size)
        return (size - length, length) if length else UNSATISFIABLE
    start = int(first)
    if last and int(last) < start:
        return None
    if start >= size:
        return UNSATISFIABLE
    end = min(int(last), size - 1) if last else size - 1
    return start, end - start + 1
