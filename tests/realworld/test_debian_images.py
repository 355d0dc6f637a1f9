"""Images of real Debian packages: every example builds, and what it is for runs in it."""

from __future__ import annotations

import json
import shutil
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from fixtures.engines import LIMITS, MODEST, PROCESSES, Tool
from realworld.debianimages import EXAMPLES, VARIANTS, DebianImages, name_of
from realworld.tools import run
from support import needs

pytestmark = needs("apt-get")

STATIC = {"base-files", "netbase", "tzdata", "tzdata-legacy", "media-types", "ca-certificates"}
NOSSL = STATIC | {"libc6"}
BASE = NOSSL | {"libssl3t64", "libzstd1", "zlib1g"}
CC = BASE | {"libgomp1", "libstdc++6", "libgcc-s1", "gcc-14-base"}
PYTHON = CC | {
    "libbz2-1.0", "libc-bin", "libdb5.3t64", "libexpat1", "libffi8", "liblzma5", "libncursesw6",
    "libpython3.13-minimal", "libpython3.13-stdlib", "libreadline8t64", "libsqlite3-0",
    "libtinfo6", "libuuid1", "python3.13-minimal", "python3.13-venv",
}  # fmt: skip
JAVA = NOSSL | {
    "fontconfig-config", "fonts-dejavu-core", "gcc-14-base", "libbrotli1", "libbz2-1.0",
    "libcrypt1", "libexpat1", "libfontconfig1", "libfreetype6", "libgcc-s1", "libjpeg62-turbo",
    "liblcms2-2", "libpng16-16t64", "libstdc++6", "libuuid1", "zlib1g",
    "libc-bin", "ca-certificates-java",  # there their files are made by rules
}  # fmt: skip
LISTED = {
    "static": STATIC, "nonroot": STATIC, "base-nossl": NOSSL, "base": BASE,
    "debug": BASE | {"busybox-static"}, "cc": CC, "python3": PYTHON, "java-base": JAVA,
}  # fmt: skip
"""What distroless lists for its variants. Python's modules `nis` and `crypt` are gone, and with
them what they loaded: Kerberos, libnsl2, libtirpc3t64, libcrypt1."""

LARGE = {"java17", "java25"}
"""What is built like java21 of other packages, and would take half a minute to fetch."""

PYTHON_WORKS = """
import sqlite3, ssl
trusted = ssl.create_default_context().get_ca_certs()
print(len(trusted) > 100, *sqlite3.connect(":memory:").execute("select 6 * 7").fetchone())
"""


@pytest.mark.parametrize("variant", LISTED)
def test_variants_have_the_packages_that_distroless_lists(
    debian: DebianImages, variant: str
) -> None:
    assert set(debian.packages(f"distroless/{variant}.yaml")) == LISTED[variant]


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_builds(debian: DebianImages, variant: str) -> None:
    example = f"distroless/{variant}.yaml"
    if variant in LARGE:
        assert f"openjdk-{variant[4:]}-jre-headless" in debian.packages(example)
    else:
        debian.run("validate", debian.build(example))


@needs("podman", "runc")
def test_python_runs_under_podman(debian: DebianImages, podman: Tool) -> None:
    podman("load", "-i", debian.build("debian-python.yaml", platform=""))
    name = name_of("debian-python")
    assert podman("run", *MODEST, *PROCESSES, name, "-c", PYTHON_WORKS) == "True 42"


@needs("dockerd", "docker")
def test_python_runs_under_docker(debian: DebianImages, docker: Tool) -> None:
    docker("load", "-i", debian.build("debian-python.yaml", platform=""))
    words = (name_of("debian-python"), "-c", PYTHON_WORKS)
    assert docker("run", "--rm", "--network", "none", *words) == "True 42"


@needs("podman", "runc")
def test_python_finds_libraries_by_name(debian: DebianImages, podman: Tool) -> None:
    """By ld.so.cache, which `ldconfig` reads for it."""
    podman("load", "-i", debian.build("distroless/python3.yaml"))
    script = "import ctypes.util; print(ctypes.util.find_library('z'))"
    assert podman("run", *MODEST, *PROCESSES, name_of("python3"), "-c", script) == "libz.so.1"


@needs("podman", "runc", "g++")
def test_a_program_of_cpp_runs(debian: DebianImages, podman: Tool, tmp_path: Path) -> None:
    source = tmp_path / "app.cc"
    source.write_text(
        "#include <iostream>\n#include <stdexcept>\n"
        'int main() { try { throw std::runtime_error("caught"); }\n'
        "  catch (const std::exception& e) { std::cout << e.what() << std::endl; } }\n"
    )
    run("g++", "-o", tmp_path / "app", source)
    shutil.copy(EXAMPLES / "debian-cpp.yaml", tmp_path)
    podman("load", "-i", debian.build(tmp_path / "debian-cpp.yaml"))
    assert podman("run", *MODEST, *PROCESSES, name_of("debian-cpp")) == "caught"


@needs("podman", "runc")
def test_node_runs(debian: DebianImages, podman: Tool) -> None:
    podman("load", "-i", debian.build("distroless/nodejs.yaml"))
    script = "console.log(require('crypto').createHash('sha256').update('').digest('hex'))"
    said = podman("run", *MODEST, *PROCESSES, name_of("nodejs"), "-e", script)
    assert said.startswith("e3b0c44298fc")


@needs("podman", "runc")
def test_nginx_serves_its_page(debian: DebianImages, podman: Tool) -> None:
    podman("load", "-i", debian.build("debian-nginx.yaml"))
    limits = (*LIMITS, *PROCESSES, "--network", "host", "-d")
    container = podman("run", *limits, name_of("debian-nginx"))
    try:
        assert fetch("http://127.0.0.1:8080/") == "<h1>No word too many</h1>"
    finally:
        podman("rm", "-f", container)


def fetch(url: str) -> str:
    """What a server says that may still be starting."""
    give_up = time.monotonic() + 20
    while True:
        try:
            with urllib.request.urlopen(url) as answer:
                text: str = answer.read().decode()
                return text
        except urllib.error.URLError:
            assert time.monotonic() < give_up
            time.sleep(0.05)


@needs("podman", "runc")
def test_java_runs_and_trusts(debian: DebianImages, podman: Tool) -> None:
    podman("load", "-i", debian.build("distroless/java21.yaml"))
    keytool = ("keytool", "-list", "-cacerts", "-storepass", "changeit")
    said = podman("run", *MODEST, *PROCESSES, name_of("java21"), *keytool)
    assert "debian:isrg_root_x1.pem" in said


@needs("syft")
@pytest.mark.parametrize("example", ["debian-nginx.yaml", "distroless/python3.yaml"])
def test_syft_lists_exactly_the_packages(
    debian: DebianImages, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, example: str
) -> None:
    monkeypatch.setenv("SYFT_CHECK_FOR_APP_UPDATE", "false")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    archive = debian.build(example)
    found = json.loads(run("syft", "scan", "-q", "-o", "json", f"docker-archive:{archive}"))
    listed = [(a["name"], a["version"]) for a in found["artifacts"] if a["type"] == "deb"]
    assert sorted(listed) == sorted(debian.packages(example).items())
