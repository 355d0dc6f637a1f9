"""Lock files that are none."""

from __future__ import annotations

import pytest

from imagist.build.lockfile import parse_lock
from imagist.errors import InputError


@pytest.mark.parametrize("raw", [b"", b"[]", b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"])
def test_what_is_no_lock_is_refused_by_name(raw: bytes) -> None:
    with pytest.raises(InputError, match="is not a lock file"):
        parse_lock(raw, "my.lock.json")
