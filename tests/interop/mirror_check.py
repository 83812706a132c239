#!/usr/bin/env python3
"""The mirror, to the newest official client."""
# packages: safetensors huggingface_hub tokenizers gguf
import mirror

if __name__ == "__main__":
    mirror.main(__file__)
