"""Environment variables: each does what its line says, and refuses nonsense."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import ix
from ix import knobs
from ix.errors import InputError
from ix.runtime.cache import default_cache


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in re.findall(r"^(IX_\w+)", knobs.__doc__ or "", re.MULTILINE):
        monkeypatch.delenv(name, raising=False)


def test_the_defaults() -> None:
    assert knobs.cache_enabled()
    assert knobs.cache_folder() is None
    assert knobs.cache_limit_bytes() == 1 << 30
    assert knobs.dump_folder() is None
    assert knobs.num_threads() is None
    assert knobs.nvdisasm() is None
    assert knobs.ptxas() is None


def test_the_values(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("IX_CACHE", "0")
    monkeypatch.setenv("IX_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("IX_CACHE_LIMIT", "3")
    monkeypatch.setenv("IX_DUMP", str(tmp_path / "dump"))
    monkeypatch.setenv("IX_NUM_THREADS", "2")
    monkeypatch.setenv("IX_NVDISASM", str(tmp_path / "nvdisasm"))
    monkeypatch.setenv("IX_PTXAS", str(tmp_path / "ptxas"))
    assert knobs.nvdisasm() == tmp_path / "nvdisasm"
    assert knobs.ptxas() == tmp_path / "ptxas"
    assert not knobs.cache_enabled()
    assert knobs.cache_folder() == str(tmp_path)
    assert knobs.cache_limit_bytes() == 3 << 20
    assert knobs.dump_folder() == tmp_path / "dump"
    assert knobs.num_threads() == 2


@pytest.mark.parametrize("text", ["", "x", "-1", "1.5", "²", "1e3", " 2"])
def test_what_is_no_number_is_refused(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("IX_NUM_THREADS", text)
    monkeypatch.setenv("IX_CACHE_LIMIT", text)
    for read in (knobs.num_threads, knobs.cache_limit_bytes):
        with pytest.raises(InputError, match="needs a whole number, but it is"):
            read()


def test_every_variable_that_is_read_is_listed() -> None:
    source = Path(knobs.__file__).read_text()
    listed = set(re.findall(r"^(IX_\w+)", knobs.__doc__ or "", re.MULTILINE))
    used = set(re.findall(r'"(IX_\w+)"', source))
    assert used == listed
    root = Path(knobs.__file__).parent
    for file in root.rglob("*.py"):
        if file.name != "knobs.py":
            assert not re.search(r"environ.*IX_", file.read_text()), file


def test_dump_writes_every_stage(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("IX_DUMP", str(tmp_path))
    monkeypatch.setenv("IX_CACHE", "0")
    ix.jit(lambda x: np.exp(x))(np.ones(3, np.float32))
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names[0] == "0-import.mlir"
    assert "1-graph.mlir" in names
    assert "ix.exp" in (tmp_path / "0-import.mlir").read_text()


def test_the_limit_of_the_cache_holds(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("IX_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("IX_CACHE_LIMIT", "0")
    cache = default_cache()
    assert cache is not None
    assert cache.limit_bytes == 0
    ix.jit(lambda x: np.exp(x) - 3)(np.ones(3, np.float32))
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
