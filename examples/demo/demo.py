"""The demo: a web application becomes an image for two platforms, is pushed, changed, and run."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / ".demo"
PROJECT = WORK / "web"
TAG = "imagist.demo/web:1"
IMAGIST = [sys.executable, "-m", "imagist"]
PAGE = PROJECT / "src" / "web" / "__init__.py"
sys.path.insert(0, str(ROOT / "tests"))

from fixtures.standin import write_stand_in  # noqa: E402


def main() -> int:
    """Build, push, change one line, push again, check, run, and say what came out."""
    shutil.rmtree(WORK, ignore_errors=True)
    shutil.copytree(ROOT / "examples" / "web", PROJECT)
    say("1. examples/web: a page of Flask, with its lock; pyproject.toml says of the image\n")
    settings = (PROJECT / "pyproject.toml").read_text().partition("[tool.imagist]\n")[2]
    say("".join(f"   {line}\n" for line in settings.splitlines()))
    base = choose_base()
    with registry() as host:
        name = f"{host}/web:1"
        took, pushed = timed("build", PROJECT, *base, "-t", name, "--quiet")
        say(f"\n3. imagist build -t {name}   ({took:.2f} s)\n   {pushed}")
        PAGE.write_text(PAGE.read_text().replace("No word too many.", "No word was too many."))
        took, again = timed("build", PROJECT, *base, "-t", name, "--quiet")
        say(
            f"4. One line of the page changed, the same command again   ({took:.2f} s)\n   {again}"
        )
        layout, archive = WORK / "layout", WORK / "web.tar"
        built = imagist("build", PROJECT, *base, "-o", layout, "--quiet")
        checked = imagist("validate", layout)
        say(f"5. Every digest derived again by imagist validate: {checked}")
        if not base:
            host_only = ("--platform", "host", "-o", archive, "-t", TAG, "--quiet")
            imagist("build", PROJECT, *host_only)
            run_image(archive)
    return 0 if again.endswith(built) and built == checked and again != pushed else 1


def choose_base() -> list[str]:
    """The flags for the base: none where Debian's packages can be had, else a stand-in."""
    say("2. imagist build examples/web: on a Debian with Python, of this machine's apt\n")
    base: list[str] = []
    try:
        took, _ = timed("build", PROJECT)
    except subprocess.CalledProcessError:
        declaration = write_stand_in(WORK / "repository")
        say("\n   There is no such base here (above). Another one is made on the spot, which has")
        say("   Python's place but no Python, so the image will not be run.\n")
        base = ["--base", str(declaration)]
        took, _ = timed("build", PROJECT, *base)
    built = json.loads(imagist("build", PROJECT, *base, "--json", "--quiet"))
    say(f"\n   {built['digest']}   ({took:.1f} s)")
    for platform, image in built["platforms"].items():
        size = sum(layer["size"] for layer in image["layers"])
        say(f"   {platform}: {len(image['layers'])} layers, {size:,} bytes")
    return base


@contextlib.contextmanager
def registry() -> Iterator[str]:
    """A registry on this machine, for as long as the demo needs it."""
    command = [*IMAGIST, "serve", str(WORK / "registry"), "--listen", "127.0.0.1:0"]
    log = ["--access-log", str(WORK / "access.log")]
    with subprocess.Popen([*command, *log], stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield server.stdout.readline().strip().removeprefix("http://")
        finally:
            server.terminate()


def timed(*words: object) -> tuple[float, str]:
    """Run one imagist command; the seconds it took, and its answer."""
    start = time.monotonic()
    answer = imagist(*words)
    return time.monotonic() - start, answer


def imagist(*words: object) -> str:
    """Run one imagist command and return its answer."""
    command = [*IMAGIST, *map(str, words), "--cache", str(WORK / "store")]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def run_image(archive: Path) -> None:
    """Start the image where podman and runc are present, ask for its page, and remove it again."""
    if not (shutil.which("podman") and shutil.which("runc")):
        say("6. podman and runc are not here, so the image is not run.")
        return
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    podman("load", "--input", archive)
    limits = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024", "--network", "host")
    settings = ("--env", f"PORT={port}", "--env", "HOST=127.0.0.1")
    started = podman("run", "--rm", "--detach", "--runtime", "runc", *limits, *settings, TAG)
    page = ask(f"http://127.0.0.1:{port}/")
    podman("rm", "--force", started)
    podman("rmi", "--force", TAG)
    if not page:
        say(f"6. podman did not run it: {started}")
        return
    say("6. podman ran it, and its page says:\n")
    say("".join(f"   {line}\n" for line in page.splitlines()))


def ask(address: str) -> str:
    """What a web server says that may not be ready yet; nothing if it never is."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for _ in range(100):
        try:
            with opener.open(address, timeout=5) as answer:
                return answer.read().decode()
        except OSError:
            time.sleep(0.1)
    return ""


def podman(*words: object) -> str:
    """Run one podman command; what it prints, or its last complaint."""
    done = subprocess.run(
        ["podman", *map(str, words)], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or done.stderr.strip().rpartition("\n")[2]


def say(text: str) -> None:
    """Print a line at once, in the order of what the commands print."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
