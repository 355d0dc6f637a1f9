"""Names that are not UTF-8: Linux takes them, so layers of every kind must."""

from __future__ import annotations

from pathlib import Path

import pytest

from build.conftest import Workshop
from build.refusing import make, repository
from fixtures.maker import file, folder, symlink
from imagist.oci import derive
from imagist.oci.image import Image
from imagist.oci.validate import validate
from imagist.store.layout import read_layout

STRANGE = b"caf\xe9-\xff".decode("utf-8", "surrogateescape")


@pytest.mark.parametrize("more", ["layering: {strategy: single}", "", "format: erofs"])
def test_names_that_are_not_utf8_are_kept(workshop: Workshop, more: str, tmp_path: Path) -> None:
    strange = make(
        "strange", folder("opt"), file(f"opt/{STRANGE}", b"x"), symlink("opt/to", STRANGE)
    )
    repository(workshop, [strange, make("other", folder("opt"), file("opt/plain", b"y"))])
    name = workshop.declare("[strange, other]", more)
    digest = workshop.build(name, "-o", "out", "--platform", "amd64")
    assert digest == workshop.build(name, "--platform", "amd64")
    image = read_layout(tmp_path / "out")
    assert isinstance(image, Image)
    assert derive.digest(image) == digest
    assert validate(image) == []
    content = b"".join(layer.compressed().read() for layer in image.layers)
    if more == "format: erofs":
        assert b"caf\xe9-\xff" in content


def test_a_list_of_busybox_paths_need_not_be_utf8(workshop: Workshop) -> None:
    listed = make(
        "busybox",
        folder("bin"),
        file("bin/busybox", b"\x7fELF"),
        folder("etc"),
        folder("etc/busybox-paths.d"),
        file("etc/busybox-paths.d/busybox", b"bin/ls\nbin/\xff\xfe\n"),
    )
    repository(workshop, [listed])
    assert workshop.build(workshop.declare("[busybox]"))
