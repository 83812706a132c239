#!/bin/sh
# Peak memory of mlconvert on a checkpoint of 1.6 GB, most of it a hole, at
# 1, 2 and 4 threads. The bar is 32 MB (docs/benchmarks.md).
#
#   BUILD_DIR=build/release sh tests/perf/convert_memory.sh
set -eu
bin=${BUILD_DIR:-build/release}/mlconvert
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

python3 - "$dir/big.safetensors" <<'PY'
import json
import struct
import sys

SIDE, N = 4096, 24
size = SIDE * SIDE * 4
header = {f"layers.{i}.weight": {"dtype": "F32", "shape": [SIDE, SIDE],
                                 "data_offsets": [i * size, (i + 1) * size]}
          for i in range(N)}
text = json.dumps(header).encode()
with open(sys.argv[1], "wb") as f:
    f.write(struct.pack("<Q", len(text)) + text)
    f.write(struct.pack("<65536f", *(i * 0.25 for i in range(65536))) * 64)
    f.truncate(8 + len(text) + N * size)
PY

# shellcheck disable=SC2016
peak='"$0" "$@" >/dev/null & pid=$!; top=0
while line=$(grep VmHWM /proc/$pid/status 2>/dev/null); do
    set -- $line; [ "$2" -gt "$top" ] && top=$2; sleep 0.01
done; wait $pid && echo $top'

n=0
for threads in 1 2 4; do
    n=$((n + 1))
    kb=$(sh -c "$peak" "$bin" -q --progress none --fp16 --threads $threads \
        -o "$dir/out$threads" "$dir/big.safetensors")
    [ "$kb" -le 32000 ] && word=ok || word="not ok"
    echo "$word $n - 1.6 GB at $threads threads: $kb kB at most, bar 32000 kB"
done
echo "1..$n"
