"""The disk cache: several processes, kills, damage, full and read-only disks."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ix.runtime import cache as cache_module
from ix.runtime.cache import DiskCache, default_cache

X = np.random.default_rng(5).standard_normal((4, 32)).astype(np.float32)

WRITER = """
import hashlib, sys
from pathlib import Path
from ix.runtime.cache import DiskCache
cache = DiskCache(Path(sys.argv[1]), 1 << 30)
print("ready", flush=True)
for turn in range(int(sys.argv[2])):
    for number in range(20):
        digest = hashlib.sha256(str(number).encode()).hexdigest()
        body = cache.fetch("objects", digest, lambda: str(number).encode() * 50_000)
        assert body == str(number).encode() * 50_000
        if turn % 3 == 0:
            cache._path("objects", digest).unlink(missing_ok=True)
"""


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture
def cache(tmp_path: Path) -> DiskCache:
    return DiskCache(tmp_path / "cache", 1 << 20)


def files(cache: DiskCache) -> list[Path]:
    return [path for path in cache.folder.rglob("*") if path.is_file()]


def writer(folder: Path, turns: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder), str(turns)],
        stdout=subprocess.PIPE,
        text=True,
    )


def test_what_was_put_is_found(cache: DiskCache) -> None:
    assert cache.get("objects", digest("a")) is None
    cache.put("objects", digest("a"), b"body")
    assert cache.get("objects", digest("a")) == b"body"
    assert cache.get("programs", digest("a")) is None
    assert cache.fetch("objects", digest("a"), lambda: b"other") == b"body"
    assert (cache.hits, cache.misses) == (2, 2)


def test_an_empty_entry_is_an_entry(cache: DiskCache) -> None:
    cache.put("objects", digest("a"), b"")
    assert cache.get("objects", digest("a")) == b""


def test_four_processes_at_once(cache: DiskCache) -> None:
    processes = [writer(cache.folder, 12) for _ in range(4)]
    for process in processes:
        process.communicate(timeout=120)
        assert process.returncode == 0
    assert not list(cache.folder.rglob(".new-*"))


def test_a_killed_writer_leaves_no_broken_entry(cache: DiskCache) -> None:
    for _ in range(3):
        process = writer(cache.folder, 100_000)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.15)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=30)
    survivor = writer(cache.folder, 2)
    survivor.communicate(timeout=120)
    assert survivor.returncode == 0


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "longer", "text"])
def test_a_damaged_entry_is_made_again(cache: DiskCache, damage: str) -> None:
    cache.put("objects", digest("a"), b"body" * 100)
    (path,) = files(cache)
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[-1] ^= 1
    changed = {
        "cut": data[:-1],
        "flip": data,
        "empty": b"",
        "longer": data + b"x",
        "text": b"text",
    }[damage]
    path.write_bytes(bytes(changed))
    assert cache.get("objects", digest("a")) is None
    assert cache.fetch("objects", digest("a"), lambda: b"new") == b"new"
    assert cache.get("objects", digest("a")) == b"new"


def test_a_folder_in_the_place_of_an_entry(cache: DiskCache) -> None:
    cache._path("objects", digest("a")).mkdir(parents=True)
    assert cache.fetch("objects", digest("a"), lambda: b"body") == b"body"
    assert not list(cache.folder.rglob(".new-*"))


def test_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    cache = DiskCache(tmp_path / "cache", 1 << 20)
    assert cache.fetch("objects", digest("a"), lambda: b"body") == b"body"
    cache.trim()


def test_a_cache_that_cannot_be_written(
    cache: DiskCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.put("objects", digest("a"), b"body")

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(cache_module.tempfile, "mkstemp", refuse)
    monkeypatch.setattr(cache_module.os, "utime", refuse)
    assert cache.get("objects", digest("a")) == b"body"
    assert cache.fetch("objects", digest("b"), lambda: b"made") == b"made"
    assert len(files(cache)) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_write_permission(cache: DiskCache) -> None:
    cache.folder.mkdir()
    cache.folder.chmod(0o500)
    assert cache.fetch("objects", digest("b"), lambda: b"made") == b"made"


def test_a_full_disk_keeps_nothing(
    cache: DiskCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache_module.os, "replace", full)
    assert cache.fetch("objects", digest("a"), lambda: b"body") == b"body"
    assert files(cache) == []


def test_ctrl_c_leaves_nothing_half_written(
    cache: DiskCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*args: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cache_module.os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        cache.put("objects", digest("a"), b"body")
    assert files(cache) == []


def test_trim_removes_what_was_used_longest_ago(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, 3 * 1032)
    for age, name in enumerate("abcde"):
        cache.put("objects", digest(name), name.encode() * 1000)
        os.utime(cache._path("objects", digest(name)), (1e9 + age, 1e9 + age))
    assert cache.get("objects", digest("a")) is not None  # used: now the youngest
    cache.trim()
    left = {name for name in "abcde" if cache.get("objects", digest(name))}
    assert left == {"a", "d", "e"}
    cache.trim()
    assert len(files(cache)) == 3


def test_the_folder_is_private(cache: DiskCache) -> None:
    cache.put("objects", digest("a"), b"body")
    (path,) = files(cache)
    assert path.parent.stat().st_mode & 0o077 == 0
    assert path.stat().st_mode & 0o077 == 0


def compiled(monkeypatch: pytest.MonkeyPatch) -> bool:
    """Compiles a function; whether the code generator ran for it."""
    import ix.compiler

    ran = []
    inner = ix.compiler.compile_cpu

    def counted(*args: Any) -> Any:
        ran.append(1)
        return inner(*args)

    with monkeypatch.context() as patch:
        patch.setattr(ix.compiler, "compile_cpu", counted)
        y = ix.jit(lambda x: np.exp(x) + 1)(X)
    np.testing.assert_allclose(y, np.exp(X) + 1, rtol=1e-5)
    return bool(ran)


def test_a_program_is_compiled_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IX_CACHE_DIR", str(tmp_path))
    assert compiled(monkeypatch)
    assert not compiled(monkeypatch)
    for path in tmp_path.rglob("*"):
        if path.is_file():
            path.write_bytes(b"damaged")
    assert compiled(monkeypatch)
    assert not compiled(monkeypatch)


def test_the_cache_can_be_turned_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IX_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("IX_CACHE", "0")
    assert default_cache() is None
    assert compiled(monkeypatch)
    assert compiled(monkeypatch)
    assert list(tmp_path.iterdir()) == []
