"""A base image made of the Python that runs the tests: interpreter, library, and what they load."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

from imagist.build.assemble import BuiltLayer, assemble_image
from imagist.lastmile.files import FileRule, write_files
from imagist.lastmile.filetable import FileTable
from imagist.oci.image import Image
from imagist.oci.manifest import RunConfig
from imagist.oci.platform import Platform, parse_platform
from imagist.packages.wheel.target import MACHINES
from imagist.store.store import Store

MINOR = f"{sys.version_info[0]}.{sys.version_info[1]}"
_LEFT_OUT = (
    "site-packages",
    "dist-packages",
    "test",
    "idlelib",
    "ensurepip",
    "**/*.a",
    "config-*",
)
_OF_WHEELS = (
    *("libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2", "librt.so.1", "libutil.so.1"),
    *("libstdc++.so.6", "libgcc_s.so.1", "libz.so.1"),
)
"""What every base has that wheels load (PEP 513, 600)."""


def host_platform() -> Platform:
    """The platform of this machine."""
    architectures = {machine: arch for arch, machine in MACHINES.items()}
    return parse_platform(f"linux/{architectures[platform.machine()]}")


def make_base(store: Store, folder: Path) -> Image:
    """The image; its layer lies in the store."""
    prefix = Path(sys.base_prefix)
    program = prefix / "bin" / f"python{MINOR}"
    library = prefix / "lib" / f"python{MINOR}"
    rules = [
        FileRule(str(program), str(program)),
        FileRule(str(library), str(library), patterns=_LEFT_OUT),
    ]
    objects = [program, *library.glob("lib-dynload/*.so")]
    needed = {place for each in objects for place in _loaded(each)}
    folders = {place.parent for place in needed}
    needed |= {place for at in folders for name in _OF_WHEELS if (place := at / name).exists()}
    rules += [FileRule(str(place), str(place), mode=0o755) for place in sorted(needed)]
    layer = write_files(store, rules, table=FileTable(store, folder))
    return assemble_image(
        [BuiltLayer(layer, "this Python")],
        RunConfig(env=(f"PATH={prefix}/bin",)),
        host_platform(),
        created=0,
        annotations={},
    )


def _loaded(program: Path) -> set[Path]:
    """The libraries, and the loader, that a program is started with."""
    done = subprocess.run(["ldd", program], capture_output=True, text=True)
    words = (word for line in done.stdout.splitlines() for word in line.split())
    return {Path(word) for word in words if word.startswith("/") and not word.endswith(":")}
