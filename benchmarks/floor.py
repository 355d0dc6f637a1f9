"""The least a cold build can do: read and hash every package, inflate it and hash its tar.

    python benchmarks/floor.py PACKAGE...

Two threads, no image. A build that is as fast as this has nothing left to win.
"""

import hashlib
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from isal import isal_zlib

CHUNK = 1 << 20
GZIP = 31


def digest_package(path: Path) -> tuple[str, str]:
    """SHA-256 of a package's bytes, and of what they inflate to."""
    packed, unpacked = hashlib.sha256(), hashlib.sha256()
    member = isal_zlib.decompressobj(GZIP)
    with path.open("rb", buffering=0) as stream:
        while chunk := stream.read(CHUNK):
            packed.update(chunk)
            while chunk:
                unpacked.update(member.decompress(chunk))
                chunk = member.unused_data
                if member.eof:
                    member = isal_zlib.decompressobj(GZIP)
    return packed.hexdigest(), unpacked.hexdigest()


if __name__ == "__main__":
    packages = sorted(map(Path, sys.argv[1:]), key=lambda path: -path.stat().st_size)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(digest_package, packages))
