"""The smallest wheels that resolvers take."""

from __future__ import annotations

import io
import zipfile


def tiny_wheel(
    name: str, version: str, requires: tuple[str, ...] = (), tag: str = "py3-none-any"
) -> bytes:
    """A wheel with metadata and nothing else."""
    folder = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += "".join(f"Requires-Dist: {each}\n" for each in requires)
    wheel = f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n"
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for member, text in (("METADATA", metadata), ("WHEEL", wheel), ("RECORD", "")):
            archive.writestr(zipfile.ZipInfo(f"{folder}/{member}"), text)
    return data.getvalue()
