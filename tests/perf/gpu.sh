#!/bin/sh
# All that a GPU has to show, in one go and under ten minutes: builds the
# plugin, runs every check of tests/cuda on the device, looks for memory errors
# and races with compute-sanitizer, measures (gpu.py), and writes what it saw
# to OUT/gpu-DATE.md, as it goes: what is cut off has left all it found before.
#
#   gpu.sh [--built] [--out OUT] [--seconds N] [BUILD_DIR]
#   gpu.sh --pack [BUILD_DIR]
#
# BUILD_DIR is build/release, OUT docs/benchmarks, N 560. --built takes what is
# in BUILD_DIR as it is, for a machine that lacks the headers: --pack makes such
# a folder where there is no device (build/gpu by default), with the libraries
# that the program wants beside it. GPU_TINY=1 measures small shapes, to try
# this script. Ends with status 1 when a check failed, something could not be
# measured, or there is no device.
set -u

start=$(date +%s)
cd "$(dirname "$0")/../.." || exit 1
mode=build
out=docs/benchmarks
seconds=560
while [ $# -gt 0 ]; do
    case $1 in
    --built) mode=built ;;
    --pack) mode=pack ;;
    --out | --seconds)
        [ $# -gt 1 ] || { echo "gpu.sh: $1 wants a word" >&2; exit 2; }
        if [ "$1" = --out ]; then out=$2; else seconds=$2; fi
        shift ;;
    -*) echo "gpu.sh: no option $1" >&2; exit 2 ;;
    *) break ;;
    esac
    shift
done
build=${1:-build/$([ $mode = pack ] && echo gpu || echo release)}
python=${PYTHON:-python3}
stories=../shared/models/stories260k/safetensors
ONE=90 # seconds that a single run has, which may hang

left() { # of the first so many seconds of a hundred
    n=$((start + seconds * $1 / 100 - $(date +%s)))
    [ $n -gt 0 ] && echo $n || echo 1
}

# The toolkit: from the PATH, or where it is put by default.
find_nvcc() {
    nvcc=$(command -v nvcc || ls /usr/local/cuda/bin/nvcc 2>/dev/null)
    [ -n "$nvcc" ] || return 1
    cuda=$(dirname "$(dirname "$nvcc")")
    [ -e "$cuda/include/cuda_runtime.h" ] ||
        cuda=$(dirname "$(dirname "$(readlink -f "$nvcc")")")
}

compile() {
    timeout -k 5 "$([ $mode = pack ] && echo 0 || left 50)" \
        make -j"$(nproc)" BUILD="$(basename "$build")" WITH_CUDA=yes \
        WERROR=1 NVCC="$nvcc" CUDA_HOME="$cuda" \
        "$build/mlverify-run" "$build/ml-backend-cuda.so"
}

if [ $mode = pack ]; then
    find_nvcc || { echo "gpu.sh: no nvcc here" >&2; exit 1; }
    compile && mkdir -p "$build/lib" "$build/stories" || exit 1
    # of its libraries the one that not every system has
    ldd "$build/mlverify-run" |
        sed -n 's/.*libcjson.* => \([^ ]*\) .*/\1/p' |
        xargs -r cp -L -t "$build/lib/" || exit 1
    [ ! -d $stories ] || cp -f $stories/* "$build/stories/"
    echo "$build: take mlverify-run, ml-backend-cuda.so, lib and stories along"
    exit 0
fi

if ! command -v nvidia-smi >/dev/null || ! nvidia-smi -L | grep -q GPU; then
    echo "gpu.sh: no NVIDIA device here" >&2
    exit 1
fi
mkdir -p "$out" || exit 1
list=$out/checks.txt
: >"$list" || exit 1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

say() {
    echo "- $*" | tee -a "$list"
}

note() { # name, status, a file that says more
    case $2 in
    0) say "$1: ok" ;;
    124) say "$1: FAILED, no time was left" ;;
    *) say "$1: FAILED" ;;
    esac
    [ "$2" -eq 0 ] || [ -z "${3-}" ] || tail -25 "$3"
}

nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.memory \
    --format=csv,noheader | sed 's/^/- device: /' | tee -a "$list"
if find_nvcc; then
    "$nvcc" --version | sed -n 's/^Cuda comp.*release/- nvcc/p' | tee -a "$list"
fi
if [ $mode = build ]; then
    if [ -n "$nvcc" ]; then
        compile >"$work/make" 2>&1
        note "it builds, warnings are errors" $? "$work/make"
    else
        say "it builds: FAILED, there is no nvcc"
    fi
fi
if [ ! -x "$build/mlverify-run" ] || [ ! -e "$build/ml-backend-cuda.so" ]; then
    say "$build has no mlverify-run with its plugin: FAILED"
    exit 1
fi

if [ -d "$build/lib" ]; then
    LD_LIBRARY_PATH=$(cd "$build/lib" && pwd)${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
    export LD_LIBRARY_PATH
fi
# cuBLAS comes with the toolkit, or with torch.
if ! ls "${cuda-/usr/local/cuda}"/lib*/libcublas.so.* >/dev/null 2>&1 &&
    ! ldconfig -p | grep -q libcublas.so; then
    for f in $("$python" -c 'import glob, sysconfig
print(*glob.glob(sysconfig.get_paths()["purelib"] + "/nvidia/*/lib"))' \
        2>/dev/null); do
        LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$f
    done
    [ -z "${LD_LIBRARY_PATH-}" ] || export LD_LIBRARY_PATH
fi

# ---- checks, all at a time ----

device() { # part, of how many
    timeout -k 5 "$(left 50)" env BUILD_DIR="$build" REQUIRE_CUDA=1 \
        "$python" tests/cuda/t_device.py "$1" "$2" >"$work/device$1" 2>&1
    rc=$?
    grep '^not ok' "$work/device$1" >"$work/failed$1"
    note "golden models, faults and texts on the device, part $1 of $2 \
($(grep -c '^ok' "$work/device$1") held)" $rc "$work/failed$1"
}

# With all layers on the device, and with as little of it as will do, so that
# they pass through it.
run_with() { # memory, what looks
    memory=$1
    shift
    "$@" "$build/mlverify-run" --backend cuda --perplexity short -n 6 \
        --tokens 1,5,9,2,33,17,60,8,3,12,44 --memory "$memory" \
        tests/model/tiny-neox
}

look() { # tool, memory
    run_with "$2" timeout -k 5 "$(left 50)" "$sanitizer" --tool "$1" \
        --error-exitcode 3 >"$work/$1.$2" 2>&1
    note "compute-sanitizer $1, --memory $2" $? "$work/$1.$2"
}

tell() { # backend
    timeout -k 5 "$ONE" "$build/mlverify-run" --backend "$1" \
        --perplexity none -n 60 --prompt 'Once upon a time' "$stories" \
        2>"$work/said.$1" |
        sed '/^$/,$d' >"$work/story.$1"
}

run_with 1T timeout -k 5 "$ONE" >"$work/first" 2>&1
note "a first run, the graph and the library with it" $? "$work/first"
sanitizer=$(command -v compute-sanitizer ||
    ls "${cuda-/usr/local/cuda}/bin/compute-sanitizer" \
        "${cuda-/usr/local/cuda}/compute-sanitizer/compute-sanitizer" \
        2>/dev/null | head -1)
parts=$(($(nproc) / 4))
[ $parts -gt 0 ] || parts=1
i=0
while [ $i -lt $parts ]; do
    device $i $parts &
    i=$((i + 1))
done
if [ -n "$sanitizer" ]; then
    run_with 1 timeout -k 5 "$ONE" >"$work/least" 2>&1
    least=$(sed -n 's/^hint: --memory \([0-9]*\) would do.*/\1/p' "$work/least")
    for tool in memcheck racecheck initcheck synccheck; do
        for memory in 1T "${least:-1}"; do
            look $tool "$memory" &
        done
    done
else
    say "compute-sanitizer: FAILED, it is not here"
fi
[ -e "$build/stories/config.json" ] && stories=$build/stories
if [ -d "$stories" ]; then
    tell cpu
    tell cuda
    [ -s "$work/story.cpu" ] && cmp "$work/story.cpu" "$work/story.cuda"
    note "the stories model tells the same story as on the CPU" $? \
        "$work/said.cuda"
else
    say "the stories model: not here"
fi
wait

# ---- figures, alone ----

"$python" tests/perf/gpu.py ${GPU_TINY:+--tiny} --build "$build" --out "$out" \
    --until "$(left 100)"
rc=$?
[ $rc -ne 0 ] || ! grep -q FAILED "$list" || rc=1
# what it wrote has them; where it wrote nothing, they stay
grep -qs '^## Checks' "$out/gpu-$(date +%F).md" && rm -f "$list"
exit $rc
