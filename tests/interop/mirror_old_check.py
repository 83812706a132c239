#!/usr/bin/env python3
"""The mirror, to an older official client, and to transformers."""
# packages: transformers==4.45.2 numpy<2
import mirror

if __name__ == "__main__":
    mirror.main(__file__)
