"""Whoever changes what an image is made of must tell the memo, or old images would live on."""

from __future__ import annotations

from build.conftest import Workshop
from imagist.build.fingerprint import FORMATS

DECLARATION = """\
contents:
  packages: []
accounts:
  users: [{username: app, uid: 500}]
  groups: [{groupname: app, gid: 500}]
  run-as: app
files:
  - {path: /opt/greeting, content: "hello\\n", permissions: 0o640, uid: 500}
paths:
  - {path: /srv/data, type: directory, permissions: 0o700, uid: 500, gid: 500}
  - {path: /opt/link, type: symlink, source: /opt/greeting}
environment: {A: b}
cmd: run
labels: {a: b}
annotations: {z: "1"}
ports: ["8080"]
archs: [x86_64, aarch64]
"""
FORMATS_THEN = (3, 1, "libdeflate-1.1:1048576")
DIGEST_THEN = "sha256:ee91b567cf59b6056572b0ab6db4731ecdc749851a9107abc078fc71618a255f"


def test_the_same_formats_give_the_same_image(workshop: Workshop) -> None:
    """If this fails, raise `FORMAT` in build/fingerprint.py and build/trace.py; then mend it."""
    workshop.write(DECLARATION)
    assert (FORMATS, workshop.build("image.yaml")) == (FORMATS_THEN, DIGEST_THEN)
