"""The conformance suite of the distribution specification, with everything switched on."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from fixtures.serving import serving
from support import find_tool, needs


@needs("conformance")
@pytest.mark.parametrize("version", ["1.0", "1.1", "dev"])
@pytest.mark.parametrize("is_sparse", [False, True], ids=["whole", "sparse"])
def test_the_suite_finds_nothing(tmp_path: Path, version: str, is_sparse: bool) -> None:
    suite = find_tool("conformance")
    assert suite, "conformance is not on PATH or in $IMAGIST_TEST_TOOLS"
    with serving(tmp_path / "store", *(["--sparse"] if is_sparse else [])) as registry:
        settings = {
            "OCI_REGISTRY": registry.address,
            "OCI_TLS": "disabled",
            "OCI_REPO1": "conformance/one",
            "OCI_REPO2": "conformance/two",
            "OCI_VERSION": version,
            "OCI_RESULTS_DIR": str(tmp_path / "results"),
            "OCI_DATA_SPARSE": str(is_sparse).lower(),
        }
        if version != "1.0":  # what the version leaves open is done, so it is tested
            settings["OCI_API_BLOBS_UPLOAD_CANCEL"] = "true"
            settings["OCI_API_BLOBS_DIGEST_HEADER"] = "true"
            settings["OCI_API_MANIFESTS_DIGEST_HEADER"] = "true"
            settings["OCI_API_MANIFESTS_TAG_PARAM"] = "true"
        done = subprocess.run(
            [suite], env={**os.environ, **settings}, capture_output=True, text=True, timeout=300
        )
    told = done.stdout + done.stderr
    assert done.returncode == 0, told
    counts = dict(re.findall(r"^ +(\w+)\.+: +(\d+)$", told, re.MULTILINE))
    assert (counts["FAIL"], counts["Error"]) == ("0", "0")
    assert int(counts["Pass"]) > 800
    if is_sparse and version != "1.0":
        assert counts["Disabled"] == "0"
