"""The demo: a signed repository is made on the spot, and becomes a two-platform image."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / ".demo"
NAME = "example.org/demo:latest"
sys.path.insert(0, str(ROOT / "tests"))

from fixtures.demo import write_demo  # noqa: E402


def main() -> int:
    """Make, build, check, and say what came out."""
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir()
    declaration = write_demo(WORK / "repository")
    say(f"1. A signed repository of {count_packages()} packages for two architectures was made.")
    say("\n2. The declaration:\n")
    say("".join(f"   {line}\n" for line in declaration.read_text().splitlines()))
    archive, layout = WORK / "image.tar", WORK / "layout"
    answer = imagist("build", declaration, "-o", archive, "-t", NAME, "--json")
    imagist("build", declaration, "-o", layout)
    built = json.loads(answer)
    say(f"3. imagist build made {built['digest']}")
    for platform, image in built["platforms"].items():
        layers = image["layers"]
        size = sum(layer["size"] for layer in layers)
        say(f"   {platform}: {len(layers)} layers, {size:,} bytes, {image['digest']}")
    say(f"   as {archive.relative_to(ROOT)} and {layout.relative_to(ROOT)}")
    checked = imagist("validate", layout).strip()
    say(f"\n4. imagist validate derived every digest again: {checked}")
    again = imagist("build", declaration, "--cache", WORK / "another-store").strip()
    say(f"5. The same built from an empty store:          {again}")
    run_image(archive)
    return 0 if built["digest"] == checked == again else 1


def count_packages() -> int:
    """The packages of one architecture."""
    return len(list((WORK / "repository").rglob("x86_64/*.apk")))


def imagist(*words: object) -> str:
    """Run one imagist command and return its answer."""
    command = [sys.executable, "-m", "imagist", *map(str, words), "--quiet"]
    if "--cache" not in words:
        command += ["--cache", str(WORK / "store")]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def run_image(archive: Path) -> None:
    """Load and run the image where podman and runc are present, and remove it again."""
    if not (shutil.which("podman") and shutil.which("runc")):
        say("\n6. podman and runc are not here, so the image is not run.")
        return
    limits = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024", "--network", "none")
    podman("load", "--input", archive)
    said = podman("run", "--rm", "--runtime", "runc", *limits, NAME)
    podman("rmi", "--force", NAME)
    say(f"\n6. podman ran it, and it said: {said}")


def podman(*words: object) -> str:
    """Run one podman command; what it prints, or its last complaint."""
    command = ["podman", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or done.stderr.strip().rpartition("\n")[2]


def say(text: str) -> None:
    """Print a line at once, in the order of what the commands print."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
