#!/bin/sh
# The main job, end to end, on the model in tests/model: a checkpoint leaves
# a hub and comes back as a next token. Run by `make demo`.
set -eu

bin=$(cd "$1" && pwd)
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
python=${PYTHON:-/usr/bin/python3}
hub=

stop() {
    [ -z "$hub" ] || kill "$hub" 2>/dev/null || true
    rm -rf "$work"
}
trap stop EXIT
trap 'exit 130' INT TERM

step() {
    printf '\n$ %s\n' "$*"
    "$bin/$@"
}

cat >"$work/hub.json" <<END
{"repos": {"demo/tiny-neox": {"dir": "$root/tests/model/tiny-neox"}}}
END
"$python" "$root/tests/server/hub.py" --config "$work/hub.json" \
    --ready "$work/ready.json" &
hub=$!
tries=0
until [ -e "$work/ready.json" ]; do
    tries=$((tries + 1))
    [ "$tries" -lt 100 ] || { echo "the test hub did not start" >&2; exit 1; }
    sleep 0.1
done
HF_ENDPOINT=$("$python" -c 'import json, sys
print(json.load(open(sys.argv[1]))["hub"])' "$work/ready.json")
HF_HOME=$work/hf
export HF_ENDPOINT HF_HOME
unset HF_TOKEN HF_HUB_CACHE HF_HUB_OFFLINE HUGGINGFACE_HUB_CACHE || true

echo "A test hub runs at $HF_ENDPOINT; the cache is $HF_HOME."
step mlfetch pull demo/tiny-neox
step mlconvert --fp16 demo/tiny-neox
step mlverify check demo/tiny-neox
step mlverify-run demo/tiny-neox --prompt "The capital of France is" -n 40
