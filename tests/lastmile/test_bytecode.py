"""Compiled files: the same as Python's own, the same every time, in layers of their own."""

from __future__ import annotations

import marshal
import os
import py_compile
import subprocess
import sys
import types
from pathlib import Path

import pytest

from fixtures.wheelmaker import Made
from imagist.errors import NotFound
from imagist.lastmile import bytecode
from imagist.lastmile.bytecode import (
    BytecodeLayers,
    Interpreter,
    compile_sources,
    find_interpreter,
)
from imagist.lastmile.wheels import WheelLayers
from imagist.packages.bytecode import Source
from imagist.packages.wheel.venv import Venv
from imagist.store.store import Store
from lastmile.layering import files, put, read_layer

THIS = f"python{sys.version_info[0]}.{sys.version_info[1]}"
VENV = Venv(python=THIS)
SITE = f"opt/venv/lib/{THIS}/site-packages"


@pytest.fixture(scope="module")
def interpreter() -> Interpreter:
    return find_interpreter(VENV)


def test_they_are_what_py_compile_writes(interpreter: Interpreter, tmp_path: Path) -> None:
    modules = ["json/decoder.py", "argparse.py", "typing.py", "enum.py", "dataclasses.py"]
    folder = Path(os.__file__).parent
    sources = [Source(f"lib/{name}", (folder / name).read_bytes()) for name in modules]
    ours = dict(compile_sources(sources, interpreter, jobs=2))
    for name in modules:
        place = tmp_path / "out.pyc"
        py_compile.compile(
            str(folder / name),
            cfile=str(place),
            dfile=f"/lib/{name}",
            doraise=True,
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )
        stem = Path(name).stem
        path = str(
            Path("lib", name).parent / "__pycache__" / f"{stem}.{interpreter.cache_tag}.pyc"
        )
        found = ours[path]
        assert found[:16] == place.read_bytes()[:16]
        code = marshal.loads(found[16:])
        assert isinstance(code, types.CodeType)
        assert code.co_filename == f"/lib/{name}"
        assert code == marshal.loads(place.read_bytes()[16:])


def test_the_same_bytes_in_any_order_and_process(interpreter: Interpreter) -> None:
    folder = Path(os.__file__).parent
    sources = [Source(path.name, path.read_bytes()) for path in sorted(folder.glob("[a-d]*.py"))]
    once = compile_sources(sources, interpreter, jobs=1)
    assert compile_sources(sources[::-1], interpreter, jobs=3) == once


def test_what_cannot_be_compiled_is_left_out(interpreter: Interpreter) -> None:
    sources = [Source("bad.py", b"def"), Source("nul.py", b"\0"), Source("good.py", b"x = 1")]
    paths = [path for path, _ in compile_sources(sources, interpreter)]
    assert paths == [f"__pycache__/good.{interpreter.cache_tag}.pyc"]


def test_layers_of_their_own(
    store: Store, interpreter: Interpreter, monkeypatch: pytest.MonkeyPatch
) -> None:
    big = Made("big", files={"big.bin": os.urandom(1_200_000), "data/scripts/s.py": "x"})
    wheels = [put(store, big), put(store, Made("two", files={"two/__init__.py": "x = 2\n"}))]
    sources = WheelLayers(store).build(wheels, VENV)
    layers = BytecodeLayers(store, interpreter).build(wheels, VENV)
    assert len(layers) == len(sources)
    assert layers[0] is None  # nothing to compile
    assert layers[1] is not None
    name = f"{SITE}/two/__pycache__/__init__.{interpreter.cache_tag}.pyc"
    assert set(files(read_layer(layers[1]))) == {name}
    # What is remembered is not compiled again.
    monkeypatch.setattr(bytecode, "compile_with", None)
    again = BytecodeLayers(store, interpreter).build(wheels, VENV)
    assert again[1] is not None
    assert again[1].digest == layers[1].digest


def test_python_uses_them(store: Store, interpreter: Interpreter, tmp_path: Path) -> None:
    """A source that changed is not looked at: the compiled file is what runs."""
    wheel = put(store, Made("two", files={"two.py": "print('compiled')\n"}))
    layer = BytecodeLayers(store, interpreter).build([wheel], VENV)[0]
    assert layer is not None
    ((path, data),) = files(read_layer(layer)).items()
    cache = tmp_path / "__pycache__"
    cache.mkdir()
    (cache / Path(path).name).write_bytes(data)
    (tmp_path / "two.py").write_text("print('source')\n")
    said = subprocess.run([sys.executable, "-c", "import two"], cwd=tmp_path, capture_output=True)
    assert said.stdout == b"compiled\n"


def test_a_version_that_is_not_here() -> None:
    with pytest.raises(NotFound, match=r"needs python3\.99"):
        find_interpreter(Venv(python="python3.99"))
