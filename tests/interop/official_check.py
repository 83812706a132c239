#!/usr/bin/env python3
"""The test hub against the official huggingface_hub: what our client is tested
with is what the official one takes for a Hub."""
# packages: safetensors huggingface_hub tokenizers gguf
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import kit  # noqa: E402

if __name__ == "__main__":
    script = os.path.join(kit.ROOT, "tests/server/official_client.py")
    os.execv(sys.executable, [sys.executable, script])
