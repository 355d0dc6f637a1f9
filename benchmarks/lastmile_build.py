"""What imagist does in `lastmile`: the wheels of a folder to the layers of an environment.

Run with the Python of a user's environment: `lastmile_build.py WHEELS STORE`. It hashes the wheels
as fetching does, and says which distributions it installed.
"""

import sys
from pathlib import Path

from imagist.lastmile.environment import build_environment
from imagist.lastmile.wheels import Wheel
from imagist.oci.platform import Platform
from imagist.packages.wheel.target import Target
from imagist.store.store import Store

TARGET = Target(
    platform=Platform("amd64"),
    python="3.12.7",
    abi="cp312",
    libc="glibc",
    libc_version=(2, 36),
    interpreter="/usr/bin/python3.12",
)


def main(folder: Path, place: Path) -> None:
    """Build the layers, and say what is in them."""
    with Store.open(place) as store:
        chosen = [
            Wheel(path.name, store.put(path.read_bytes()), path.stat().st_size)
            for path in sorted(folder.glob("*.whl"))
        ]
        made = build_environment(store, chosen, TARGET)
        assert all(store.has(layer.layer.digest) for layer in made.layers)
        wheels = [wheel for layer in made.wheel_layers for wheel in layer.wheels]
        print("\n".join(f"{wheel.name}-{wheel.version}.dist-info" for wheel in wheels))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
