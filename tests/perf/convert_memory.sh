#!/bin/sh
# Peak memory of mlconvert on checkpoints of 4 GB of float32, nearly all of
# them holes: many tensors in a .bin and in a safetensors file, and a .bin
# with one tensor of 2 GB, at 1, 2 and 8 threads. What is counted is resident
# memory and the page tables. The bar is 32 MB (docs/benchmarks.md).
#
#   BUILD_DIR=build/release sh tests/perf/convert_memory.sh [GB]
#
# Needs room for half of GB on the disk of TMPDIR; takes minutes.
set -eu
gb=${1:-4}
here=$(dirname "$0")
bin=${BUILD_DIR:-build/release}/mlconvert
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

PYTHONPATH=$here/../fixtures python3 - "$dir" "$gb" <<'PY'
import struct
import sys

import rawckpt

DIR, GB = sys.argv[1], float(sys.argv[2])
SIDE = 4096
MANY = [(SIDE, SIDE)] * max(1, int(GB * 1e9 / (4 * SIDE * SIDE)))
ONE = [(int(GB / 2 * 1e9 / (4 * SIDE)), SIDE)]
SOME = struct.pack("<65536f", *(i * 0.25 for i in range(65536)))


def hole(f, size):
    """A tensor: a little that is there, then nothing."""
    end = f.tell() + size
    f.write(SOME[:size])
    f.truncate(end)
    f.seek(end)


def legacy(path, shapes):
    table = rawckpt.PROTO2 + rawckpt.pairs(
        (f"layers.{i}.weight", rawckpt.tensor(str(i), s, legacy=True))
        for i, s in enumerate(shapes)) + rawckpt.STOP
    with open(path, "wb") as f:
        f.write(rawckpt.legacy(table, [str(i) for i in range(len(shapes))],
                               []))
        for a, b in shapes:
            f.write(struct.pack("<q", a * b))
            hole(f, 4 * a * b)


def safetensors(path, shapes):
    size = 4 * SIDE * SIDE
    head = {f"layers.{i}.weight": {"dtype": "F32", "shape": list(s),
                                   "data_offsets": [i * size, i * size + size]}
            for i, s in enumerate(shapes)}
    with open(path, "wb") as f:
        f.write(rawckpt.raw_safetensors(str(head).replace("'", '"'), b""))
        for _ in shapes:
            hole(f, size)


legacy(f"{DIR}/many.bin", MANY)
legacy(f"{DIR}/one.bin", ONE)
safetensors(f"{DIR}/many.safetensors", MANY)
PY

# Resident memory and page tables at their highest, in kB.
peak() {
    "$@" >/dev/null &
    pid=$!
    top=0
    while now=$(awk '/^VmHWM|^VmPTE/ { n += $2 } END { print n + 0 }' \
        "/proc/$pid/status" 2>/dev/null) && [ "$now" -gt 0 ]; do
        [ "$now" -gt "$top" ] && top=$now
        sleep 0.05
    done
    wait "$pid" && echo "$top"
}

n=0
failed=0
for file in many.bin one.bin many.safetensors; do
    for threads in 1 2 8; do
        n=$((n + 1))
        name="$file, $threads threads"
        if kb=$(peak "$bin" -q --progress none --fp16 --threads $threads \
            -o "$dir/out" "$dir/$file") && [ "$kb" -le 32000 ]; then
            echo "ok $n - $name: $kb kB at most, bar 32000 kB"
        else
            failed=1
            echo "not ok $n - $name: ${kb:-no} kB at most, bar 32000 kB"
        fi
        rm -rf "$dir/out"
    done
done
echo "1..$n"
exit $failed
