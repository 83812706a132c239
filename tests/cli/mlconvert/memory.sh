#!/bin/sh
# The short form of tests/perf/convert_memory.sh: memory that does not grow
# with the checkpoint, a tensor, or the threads.
case ${BUILD_DIR:-} in
*asan* | *san)
    echo "ok 1 - memory stays below 32 MB # SKIP sanitizers need their own"
    echo "1..1"
    exit 0
    ;;
esac
exec sh "$(dirname "$0")/../../perf/convert_memory.sh" 0.3
