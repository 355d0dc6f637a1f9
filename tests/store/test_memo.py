from __future__ import annotations

import multiprocessing
import os
import random
import sqlite3
import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagist.digest import sha256
from imagist.store.memo import memo_key
from imagist.store.store import Store

FORK = multiprocessing.get_context("fork")


def test_what_was_put_is_got_also_by_the_next_process(store: Store) -> None:
    store.memo.put("step", "key", b"\0value")
    assert store.memo.get("step", "key") == b"\0value"
    assert store.memo.get("step", "other") is None
    assert store.memo.get("other", "key") is None
    store.memo.put("step", "key", b"new")
    with Store.open(store.root) as other:
        assert other.memo.get("step", "key") == b"new"
        other.memo.delete("step", "key")
    assert store.memo.get("step", "key") is None


def test_a_value_whose_blob_is_gone_is_forgotten_until_the_blob_is_back(store: Store) -> None:
    digest = store.put(b"blob")
    store.memo.put("step", "key", b"value", [digest])
    assert store.memo.get("step", "key") == b"value"
    store.path(digest).unlink()
    assert store.memo.get("step", "key") is None
    store.put(b"blob")
    assert store.memo.get("step", "key") == b"value"


@pytest.mark.parametrize(
    "damage", [b"this is no database, but long enough to look at" * 100, b"short"]
)
def test_a_damaged_file_is_set_aside_and_begun_anew(store: Store, damage: bytes) -> None:
    store.memo.put("step", "key", b"value")
    store.memo.close()
    (store.root / "memo.sqlite").write_bytes(damage)
    assert store.memo.get("step", "key") is None
    store.memo.put("step", "key", b"value")
    assert store.memo.get("step", "key") == b"value"
    assert (store.root / "memo.sqlite.damaged").read_bytes() == damage


def test_a_page_damaged_in_the_middle_ends_no_build(store: Store) -> None:
    for number in range(500):
        store.memo.put("step", str(number), bytes(1000))
    store.memo.close()
    file = store.root / "memo.sqlite"
    data = bytearray(file.read_bytes())
    data[4096 : len(data) // 2] = os.urandom(len(data) // 2 - 4096)
    file.write_bytes(data)
    for number in range(500):
        store.memo.get("step", str(number))
    store.memo.put("step", "new", b"value")
    assert store.memo.get("step", "new") == b"value"


def test_a_changed_byte_is_never_a_value(store: Store) -> None:
    """SQLite does not notice it; the row's checksum does."""
    values = {str(number): os.urandom(100) for number in range(100)}
    for key, value in values.items():
        store.memo.put("step", key, value)
    store.memo.close()
    file = store.root / "memo.sqlite"
    whole = file.read_bytes()
    lost = 0
    for seed in range(150):
        place = random.Random(seed).randrange(len(whole))
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        found = {key: store.memo.get("step", key) for key in values}
        assert {key: value for key, value in found.items() if value is not None}.items() <= (
            values.items()
        )
        store.memo.rows()
        damaged = store.memo.remove_damaged()
        lost += None in found.values()
        assert (
            damaged or (store.root / "memo.sqlite.damaged").exists() or None not in found.values()
        )
        assert store.memo.remove_damaged() == 0
        store.memo.close()
        (store.root / "memo.sqlite.damaged").unlink(missing_ok=True)
    assert lost > 50


def test_a_damaged_file_that_another_process_has_open_is_left_alone(store: Store) -> None:
    """SQLite finds the files beside a database by name: nobody may put another in its place."""
    store.memo.put("step", "key", b"value")
    file = store.root / "memo.sqlite"
    with Store.open(store.root) as other:
        other.memo.get("step", "key")
        store.memo._run(lambda memo: memo.execute("PRAGMA wal_checkpoint(TRUNCATE)"))
        store.memo.close()
        file.write_bytes(b"damaged" * 1000)
        store.memo.put("step", "key", b"new")
        assert store.memo.get("step", "key") is None
        assert file.read_bytes() == b"damaged" * 1000
    with Store.open(store.root) as later:
        later.memo.put("step", "key", b"new")
        assert later.memo.get("step", "key") == b"new"
    assert (store.root / "memo.sqlite.damaged").exists()


def test_an_action_that_fails_half_way_leaves_no_transaction_open(store: Store) -> None:
    store.memo.put("step", "key", b"value")

    def fail(memo: sqlite3.Connection) -> None:
        memo.execute("BEGIN")
        memo.execute("DELETE FROM memo")
        raise sqlite3.OperationalError("database or disk is full")

    assert store.memo._run(fail) is None
    assert store.memo.get("step", "key") == b"value"
    store.memo.put("step", "other", b"kept")
    with Store.open(store.root) as other:
        assert other.memo.get("step", "other") == b"kept"


def test_another_schema_version_is_replaced(store: Store) -> None:
    other = sqlite3.connect(store.root / "memo.sqlite")
    other.executescript("CREATE TABLE memo (x); PRAGMA user_version = 99;")
    other.close()
    store.memo.put("step", "key", b"value")
    assert store.memo.get("step", "key") == b"value"


def put_many(root: str, name: str) -> None:
    with Store.open(Path(root)) as opened:
        for number in range(150):
            opened.memo.put(name, str(number), name.encode())


def test_many_processes_write_at_once(tmp_path: Path) -> None:
    workers = [FORK.Process(target=put_many, args=(str(tmp_path), name)) for name in "abc"]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    with Store.open(tmp_path) as opened:
        for name in "abc":
            assert opened.memo.get(name, "149") == name.encode()
        assert len(opened.memo.rows()) == 450


def test_a_use_is_noted_once_a_day(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.memo.put("step", "key", b"value")
    before = store.memo.rows()[0].used
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 1000)
    store.memo.get("step", "key")
    assert store.memo.rows()[0].used == before
    monkeypatch.setattr(time, "time", lambda: now + 100_000)
    store.memo.get("step", "key")
    assert store.memo.rows()[0].used > before + 90_000


PARTS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3).map(tuple),
    max_leaves=6,
)


def tagged(value: object) -> object:
    """Values with their types: in Python True == 1."""
    if isinstance(value, tuple):
        return tuple(map(tagged, value))
    return type(value).__name__, value


@given(st.lists(PARTS, max_size=4), st.lists(PARTS, max_size=4))
def test_different_parts_have_different_keys(old: list[object], new: list[object]) -> None:
    same = tagged(tuple(old)) == tagged(tuple(new))
    assert (memo_key(*old) == memo_key(*new)) == same


class Here(msgspec.Struct):
    a: int
    b: str = ""


class There(msgspec.Struct):
    a: int
    b: str = ""


def test_keys_of_structs_and_close_calls() -> None:
    keys = [
        memo_key("ab", "c"), memo_key("a", "bc"), memo_key("abc"), memo_key(("ab", "c")),
        memo_key(b"ab", "c"), memo_key(1), memo_key("1"), memo_key(True), memo_key(Here(1)),
        memo_key(There(1)), memo_key(Here(1, "x")), memo_key(1, ""), memo_key(None), memo_key(),
    ]  # fmt: skip
    assert len(set(keys)) == len(keys)
    assert memo_key(Here(1)) == memo_key(Here(1))
    assert memo_key({"a": 1, "b": 2}) == memo_key({"b": 2, "a": 1})
    assert memo_key(sha256(b"")) == memo_key(str(sha256(b"")))
    assert len(keys[0]) == 64


def test_a_part_without_a_meaning_is_refused() -> None:
    with pytest.raises(TypeError):
        memo_key(object())
