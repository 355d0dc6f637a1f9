"""Compiles Python sources that come on stdin; run by the interpreter that is to have them.

A program of its own, which imports nothing but the standard library and works with any Python 3.8
and later: `packages.bytecode` starts it. First it says which Python it is;
then, for each source, the compiled file, or nothing where the source cannot be compiled.
"""

from __future__ import annotations

import importlib.util
import marshal
import struct
import sys
import warnings
from typing import BinaryIO

_SIZE = struct.Struct("<I")
_UNCHECKED_HASH = 0b01  # PEP 552: the hash is there, and nobody compares it


def compile_source(path: str, source: bytes) -> bytes:
    """A source as a compiled file whose tracebacks name this path."""
    code = compile(source, path, "exec", dont_inherit=True, optimize=0)
    flags = _UNCHECKED_HASH.to_bytes(4, "little")
    header = importlib.util.MAGIC_NUMBER + flags + importlib.util.source_hash(source)
    return header + marshal.dumps(code)


def _read(stream: BinaryIO) -> bytes | None:
    head = stream.read(_SIZE.size)
    return stream.read(*_SIZE.unpack(head)) if head else None


def _write(data: bytes) -> None:
    sys.stdout.buffer.write(_SIZE.pack(len(data)) + data)


def main() -> None:
    """Read until the end."""
    warnings.simplefilter("ignore")
    lines = (sys.version, sys.implementation.cache_tag)
    _write("\n".join(line.replace("\n", " ") for line in lines).encode())
    while True:
        path = _read(sys.stdin.buffer)
        source = _read(sys.stdin.buffer)
        if path is None or source is None:
            return
        try:
            compiled = compile_source(path.decode("utf-8", "surrogateescape"), source)
        except (SyntaxError, ValueError, RecursionError, OverflowError, MemoryError):
            compiled = b""
        _write(compiled)


if __name__ == "__main__":
    main()
