"""Tree entries, as /tree, /paths-info and the siblings of repo info show them."""

import base64
import json

from .hub import xet_hash

DATE = "2024-01-01T00:00:00.000Z"
EXPANDED_PAGE = 50    # the Hub pages expanded listings more finely


def file_entry(repo, file):
    entry = {"type": "file", "oid": file.oid, "size": file.size, "path": file.path}
    if file.sha256:
        entry["lfs"] = {"oid": file.sha256, "size": file.size, "pointerSize": len(file.pointer)}
        if repo.xet:
            entry["xetHash"] = xet_hash(file)
    entry.update(repo.patch_tree.get(file.path, {}))
    return entry


def folder_entry(path, oid):
    return {"type": "directory", "oid": oid, "size": 0, "path": path}


def expanded(entry, commit):
    safe = {"status": "safe"}
    return {**entry,
            "lastCommit": {"id": commit, "title": "Add files", "date": DATE},
            "securityFileStatus": {"status": "safe", "avScan": safe, "pickleImportScan": safe}}


def list_entries(repo, snapshot, folder, recursive):
    """Entries below a folder ("" is the root), in path order, and the extra ones of the
    configuration at the end of the root listing."""
    prefix = folder + "/" if folder else ""
    entries = [file_entry(repo, file) for file in snapshot.files.values()]
    entries += [folder_entry(path, oid) for path, oid in snapshot.folders.items()]
    # A patched entry may lie about its path, so the filter goes by position in the snapshot.
    paths = list(snapshot.files) + list(snapshot.folders)
    chosen = sorted((path, index) for index, path in enumerate(paths)
                    if path.startswith(prefix) and (recursive or "/" not in path[len(prefix):]))
    listed = [entries[index] for _, index in chosen]
    return listed if folder else listed + repo.extra_tree


def siblings(repo, snapshot, with_blobs):
    rows = []
    for path in sorted(snapshot.files):
        file = snapshot.files[path]
        row = {"rfilename": path}
        if with_blobs:
            row.update(blobId=file.oid, size=file.size)
            if file.sha256:
                row["lfs"] = {"sha256": file.sha256, "size": file.size,
                              "pointerSize": len(file.pointer)}
        rows.append(row)
    rows += [{"rfilename": entry["path"]} for entry in repo.extra_tree
             if entry.get("type") == "file" and "path" in entry]
    return rows


def encode_cursor(offset):
    return base64.urlsafe_b64encode(json.dumps({"offset": offset}).encode()).decode()


def decode_cursor(text):
    """The offset, or None for a cursor this server did not make."""
    try:
        offset = json.loads(base64.urlsafe_b64decode(text))["offset"]
    except (ValueError, TypeError, KeyError):
        return None
    return offset if isinstance(offset, int) and offset >= 0 else None
