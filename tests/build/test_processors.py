"""Whole builds on other processors than this one: emulated, the same digests."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import deflate
import pytest

from build.commandline import environment, run
from build.conftest import ARCHITECTURES
from fixtures.demo import demo_packages
from fixtures.maker import write_repository
from support import needs

PROGRAM = "import sys; from imagist.cli.main import main; sys.exit(main(sys.argv[1:]))"
DECLARATION = """\
contents:
  repositories: [repo]
  keyring: [repo/demo-test-only.rsa.pub]
  packages: [demo-baselayout, ca-certificates-demo, demo-corpus-text, demo-web, hello]
layering: {strategy: single}
archs: [x86_64]
"""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("processors")
    write_repository(folder / "repo", {ARCHITECTURES[0]: demo_packages(ARCHITECTURES[0])})
    (folder / "image.yaml").write_text(DECLARATION)
    answer = run("-C", folder, "build", "image.yaml", "--cache", folder / "here")
    assert answer.code == 0, answer.err
    return folder, answer.out


@needs("qemu-x86_64-static")
@pytest.mark.skipif(platform.machine() != "x86_64", reason="emulates other models of x86_64 only")
@pytest.mark.parametrize("model", ["qemu64", "max"])
def test_an_image_is_the_same_on_processors_with_and_without_newer_instructions(
    prepared: tuple[Path, str], tmp_path: Path, model: str
) -> None:
    """From SSE3 to AVX2 and hardware SHA; CRC, hashes, inflating and compressing choose by them.

    aarch64 gave the same when it was tried (ARCHITECTURE.md, \"Trees and layers\").
    """
    folder, digest = prepared
    site = str(Path(deflate.__file__).parent.parent)
    variables = environment()
    variables["PYTHONPATH"] = os.pathsep.join([variables["PYTHONPATH"], site])
    words = ["-C", folder, "build", "image.yaml", "--cache", tmp_path]
    done = subprocess.run(
        ["qemu-x86_64-static", "-cpu", model, os.path.realpath(sys.executable), "-S", "-c",
         PROGRAM, *map(str, words)],
        env=variables, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, digest), done.stderr
