#!/bin/sh
# All that a GPU has to show, in one go and under ten minutes: builds the
# plugin, runs every check of tests/cuda on the device, looks for memory errors
# and races with compute-sanitizer, measures (gpu.py), and writes what it saw
# to docs/benchmarks/gpu-DATE.md.
#
#   gpu.sh [--built] [BUILD_DIR]     BUILD_DIR: build/release
#
# --built takes what is in BUILD_DIR as it is. Ends with status 1 when a check
# failed, something could not be measured, or there is no device.
set -u

cd "$(dirname "$0")/../.." || exit 1
built=no
if [ "${1-}" = --built ]; then
    built=yes
    shift
fi
build=${1:-build/release}
out=docs/benchmarks
python=${PYTHON:-python3}
failed=0

if ! command -v nvidia-smi >/dev/null || ! nvidia-smi -L | grep -q GPU; then
    echo "gpu.sh: no NVIDIA device here" >&2
    exit 1
fi
mkdir -p "$out"
list=$out/checks.txt
: >"$list"

note() { # name, status
    if [ "$2" -eq 0 ]; then
        echo "- $1: ok" | tee -a "$list"
    else
        echo "- $1: FAILED" | tee -a "$list"
        failed=1
    fi
}

nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.memory \
    --format=csv,noheader | sed 's/^/- device: /' | tee -a "$list"
if [ $built = no ]; then
    nvcc=$( (command -v nvcc || ls /usr/local/cuda/bin/nvcc) 2>/dev/null)
    "$nvcc" --version | sed -n 's/^Cuda comp.*release/- nvcc/p' |
        tee -a "$list"
    make -j"$(nproc)" BUILD="$(basename "$build")" WITH_CUDA=yes WERROR=1 all
    note "it builds, warnings are errors" $?
fi

BUILD_DIR=$build REQUIRE_CUDA=1 "$python" tests/run.py tests/cuda/t_device.py
note "every golden model, fault and text on the device" $?

# With all layers on the device, and with as little of it as will do, so that
# they pass through it.
look() { # memory, what looks
    memory=$1
    shift
    "$@" "$build/mlverify-run" --backend cuda --perplexity short -n 6 \
        --tokens 1,5,9,2,33,17,60,8,3,12,44 --memory "$memory" \
        tests/model/tiny-neox >"$list.log" 2>&1
    rc=$?
    [ $rc -eq 0 ] || [ "$memory" = 1 ] || tail -20 "$list.log"
    mv "$list.log" "$list.last"
    return $rc
}
if command -v compute-sanitizer >/dev/null; then
    look 1 env
    least=$(sed -n 's/^hint: --memory \([0-9]*\) would do.*/\1/p' "$list.last")
    for tool in memcheck racecheck initcheck synccheck; do
        for memory in 1T "${least:-1}"; do
            look "$memory" timeout 90 compute-sanitizer --tool $tool \
                --error-exitcode 3
            note "compute-sanitizer $tool, --memory $memory" $?
        done
    done
    rm -f "$list.last"
else
    echo "- compute-sanitizer: not here" | tee -a "$list"
    failed=1
fi

stories=../shared/models/stories260k/safetensors
if [ -d $stories ]; then
    for backend in cpu cuda; do
        "$build/mlverify-run" --backend $backend --perplexity none -n 60 \
            --prompt 'Once upon a time' $stories | sed '/^$/,$d' \
            >"$list.$backend"
    done
    cmp "$list.cpu" "$list.cuda"
    note "the stories model tells the same story as on the CPU" $?
    rm -f "$list.cpu" "$list.cuda"
fi

"$python" tests/perf/gpu.py --build "$build" --out "$out" || failed=1
exit $failed
