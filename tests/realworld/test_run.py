"""The image runs: under podman, runc and docker, from the archive and from the layout."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from fixtures.engines import MODEST, PROCESSES, Tool
from realworld.conftest import NAME, Outputs
from realworld.tools import run
from support import needs


@needs("shared", "apt-get", "podman", "runc")
def test_podman_runs_the_archive(podman: Tool, python_image: Outputs) -> None:
    assert NAME in podman("load", "-i", python_image.archive)
    assert podman("run", *MODEST, *PROCESSES, NAME) == "1"


@needs("shared", "apt-get", "podman", "runc")
@pytest.mark.parametrize("form", ["layout", "single"])
def test_podman_runs_the_layout(podman: Tool, python_image: Outputs, form: str) -> None:
    layout = getattr(python_image, form)
    assert podman("run", *MODEST, *PROCESSES, f"oci:{layout}:{NAME}") == "1"


@needs("shared", "apt-get", "dockerd", "docker")
def test_docker_runs_the_archive(docker: Tool, python_image: Outputs) -> None:
    assert NAME in docker("load", "-i", python_image.archive)
    assert docker("run", "--rm", "--network", "none", NAME) == "1"


@needs("shared", "apt-get", "umoci", "runc")
def test_runc_runs_what_umoci_unpacks_of_the_layout(state: Path, python_image: Outputs) -> None:
    bundle = state / "bundle"
    run("umoci", "unpack", "--image", f"{python_image.single}:{NAME}", bundle)
    try:
        make_modest(bundle / "config.json")
        name = f"imagist-{os.getpid()}"
        said = run("runc", "--root", state / "runc", "run", "--bundle", bundle, name)
        assert said == "1"
    finally:
        shutil.rmtree(bundle, ignore_errors=True)


def make_modest(file: Path) -> None:
    """Adapt a runtime's configuration to hosts that give no terminal, cgroups or higher limits."""
    config = json.loads(file.read_text())
    config["process"]["terminal"] = False
    config["process"].pop("rlimits", None)
    config["linux"].pop("resources", None)
    config["linux"]["namespaces"] = [
        each for each in config["linux"]["namespaces"] if each["type"] != "cgroup"
    ]
    config["mounts"] = [each for each in config["mounts"] if each["type"] != "cgroup"]
    file.write_text(json.dumps(config))


@needs("shared", "apt-get", "skopeo")
@pytest.mark.parametrize("form", ["archive", "layout", "single"])
def test_skopeo_copies_every_form_with_its_digest(
    tmp_path: Path, python_image: Outputs, form: str
) -> None:
    path = getattr(python_image, form)
    # An archive's index.json has the tag alone, as containerd and Docker look for it.
    tag = NAME.rpartition(":")[2]
    source = f"oci-archive:{path}:{tag}" if form == "archive" else f"oci:{path}:{NAME}"
    wanted = python_image.image if form == "single" else python_image.index
    every = ("--all", "--preserve-digests")
    run("skopeo", "--insecure-policy", "copy", "-q", *every, source, f"oci:{tmp_path}/copy:1")
    raw = run("skopeo", "inspect", "--raw", f"oci:{tmp_path}/copy:1")
    assert json.loads((tmp_path / "copy" / "index.json").read_text())["manifests"][0][
        "digest"
    ] == (wanted)
    assert json.loads(raw)["mediaType"].startswith("application/vnd.oci.image.")


@needs("shared", "apt-get", "skopeo")
def test_skopeo_reads_the_archive_as_dockers(tmp_path: Path, python_image: Outputs) -> None:
    source = f"docker-archive:{python_image.archive}"
    run("skopeo", "--insecure-policy", "copy", "-q", source, f"dir:{tmp_path}/copy")
    seen = json.loads(run("skopeo", "inspect", "--config", source))
    assert seen["config"]["Cmd"] == ["/usr/bin/python3", "-c", "import ssl, sqlite3; print(1)"]


@needs("shared", "apt-get", "crane")
def test_crane_finds_every_digest_right(python_image: Outputs) -> None:
    run("crane", "validate", "--tarball", python_image.archive)
