"""A scanner sees what is in the image."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from realworld.conftest import Outputs
from realworld.tools import run
from realworld.workload import Workload
from support import needs

pytestmark = needs("shared", "apt-get", "syft")


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No question for a newer syft, no files outside."""
    monkeypatch.setenv("SYFT_CHECK_FOR_APP_UPDATE", "false")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


# syft reads no index nested in a layout's; the archive of one it reads as docker's.
@pytest.mark.parametrize("form", ["oci-dir:{0.single}", "docker-archive:{0.archive}"])
def test_syft_lists_every_package_with_its_version(
    python_image: Outputs, w38: Workload, form: str
) -> None:
    found = json.loads(run("syft", "scan", "-q", "-o", "json", form.format(python_image)))
    listed = {
        each["name"]: each["version"] for each in found["artifacts"] if each["type"] == "apk"
    }
    assert listed == w38.packages
    assert len(listed) >= 38
