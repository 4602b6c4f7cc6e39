"""Saved executables: the round trip, and every way in which a file can be wrong."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ix
from ix.errors import ArtifactError, RuntimeFailure
from ix.runtime import artifact
from ix.runtime.executable import Executable

RANDOM = np.random.default_rng(11)
W = RANDOM.standard_normal((64, 48), np.float32)
X = RANDOM.standard_normal((3, 64), np.float32)


@pytest.fixture(scope="module")
def executable() -> Executable:
    layer = ix.jit(lambda x: np.tanh(x @ W), dims={"x": {0: ix.Dim("rows", 1, 8)}})
    found = layer.lower(X).compile().executable
    assert isinstance(found, Executable)
    return found


@pytest.fixture
def saved(executable: Executable, tmp_path: Path) -> Path:
    path = tmp_path / "layer.ix"
    executable.save(path)
    return path


def rewritten(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Writes the file again with another manifest; other members keep their bytes."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(members["manifest.json"])
    change(manifest)
    members["manifest.json"] = json.dumps(manifest).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def test_a_loaded_executable_gives_the_same_bits(
    executable: Executable, saved: Path
) -> None:
    loaded = ix.load(saved)
    assert loaded.plan == executable.plan
    for rows in (1, 3, 8):
        x = RANDOM.standard_normal((rows, 64), np.float32)
        np.testing.assert_array_equal(loaded(x)[0], executable(x)[0])
        exact = np.tanh(x.astype(np.float64) @ W.astype(np.float64))
        np.testing.assert_allclose(loaded(x)[0], exact, atol=1e-5)


def test_constants_are_mapped_and_aligned(saved: Path) -> None:
    for constant in ix.load(saved).constants:
        assert constant.ctypes.data % 64 == 0
        assert not constant.flags.owndata
        assert not constant.flags.writeable


def test_a_loaded_executable_can_be_saved_again(saved: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.ix"
    ix.load(saved).save(again)
    assert again.read_bytes() == saved.read_bytes()


def test_the_threads_of_a_loaded_executable(saved: Path) -> None:
    one, two = ix.load(saved, num_threads=1), ix.load(saved, num_threads=2)
    assert (one.num_threads, two.num_threads) == (1, 2)
    np.testing.assert_array_equal(one(X)[0], two(X)[0])


def test_files_do_not_depend_on_the_process(tmp_path: Path) -> None:
    code = (
        "import sys, numpy as np, ix\n"
        "w = np.arange(2048, dtype=np.float32).reshape(32, 64)\n"
        "@ix.jit\n"
        "def f(x, y): return {'b': np.exp(x @ w), 'a': (x + y).sum(axis=1)}\n"
        "x = np.ones((4, 32), np.float32)\n"
        "f.lower(x, x).compile().executable.save(sys.argv[1])\n"
    )
    files = []
    for seed in ("0", "123"):
        files.append(tmp_path / f"{seed}.ix")
        environment = {**os.environ, "PYTHONHASHSEED": seed, "IX_CACHE": "0"}
        subprocess.run(
            [sys.executable, "-c", code, str(files[-1])], check=True, env=environment
        )
    assert files[0].read_bytes() == files[1].read_bytes()


def test_loading_imports_no_compiler(saved: Path) -> None:
    code = (
        "import sys, numpy as np, ix\n"
        "y = ix.load(sys.argv[1])(np.ones((2, 64), np.float32))[0]\n"
        "assert y.shape == (2, 48)\n"
        "heavy = {'torch_mlir', 'llvmlite', 'torch', 'onnx', 'ix.mlir', 'ix.compiler'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(saved)], check=True)


@pytest.mark.parametrize("keep", [0, 1, 100, 0.3, 0.9, -1])
def test_a_truncated_file_is_refused(saved: Path, keep: float) -> None:
    data = saved.read_bytes()
    saved.write_bytes(data[: int(keep * len(data)) if 0 < keep < 1 else int(keep)])
    with pytest.raises(ArtifactError, match=r"layer\.ix"):
        ix.load(saved)


def test_every_member_has_a_checksum(saved: Path) -> None:
    with zipfile.ZipFile(saved) as archive:
        names = [name for name in archive.namelist() if name != "manifest.json"]
    whole = saved.read_bytes()
    with open(saved, "rb") as file:
        data = file.read()
    for name in names:
        with zipfile.ZipFile(saved) as archive:
            first, size = artifact._data_range(data, archive.getinfo(name))  # type: ignore[arg-type]
        damaged = bytearray(whole)
        damaged[first + size // 2] ^= 1
        saved.write_bytes(damaged)
        with pytest.raises(ArtifactError, match=f"{name} does not have its checksum"):
            ix.load(saved)
        saved.write_bytes(whole)
    ix.load(saved)


def test_a_foreign_zip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "foreign.ix"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("hello.txt", "hello")
    with pytest.raises(ArtifactError, match="it has no manifest"):
        ix.load(path)


def test_a_file_of_another_kind_is_told_from_a_cut_one(saved: Path) -> None:
    saved.write_bytes(saved.read_bytes()[:-40])
    with pytest.raises(ArtifactError, match="its end is missing or damaged; save or"):
        ix.load(saved)
    saved.write_bytes(b"\x08\x07model of another kind")
    with pytest.raises(ArtifactError, match=r"of another kind; pass what Executable\."):
        ix.load(saved)


def test_a_compressed_member_is_refused(saved: Path) -> None:
    with zipfile.ZipFile(saved) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(saved, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    with pytest.raises(ArtifactError, match="is compressed"):
        ix.load(saved)


@pytest.mark.parametrize("number", [0, 2, 999, "1", None])
def test_another_format_is_refused(saved: Path, number: Any) -> None:
    rewritten(saved, lambda manifest: manifest.update(format=number))
    with pytest.raises(
        ArtifactError, match=f"needs format 1, but it has format {number}"
    ):
        ix.load(saved)


def test_a_missing_member_is_refused(saved: Path) -> None:
    rewritten(saved, lambda m: m["members"].update({"objects/9.o": {}}))
    with pytest.raises(ArtifactError, match=r"objects/9\.o is missing"):
        ix.load(saved)


@pytest.mark.parametrize("key", ["plan", "members", "objects"])
def test_a_manifest_that_lacks_a_part_is_refused(saved: Path, key: str) -> None:
    rewritten(saved, lambda manifest: manifest.pop(key))
    with pytest.raises(ArtifactError, match="lacks"):
        ix.load(saved)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000])
def test_a_manifest_that_is_no_object_is_refused(saved: Path, text: str) -> None:
    with zipfile.ZipFile(saved, "w") as archive:
        archive.writestr("manifest.json", text)
    with pytest.raises(ArtifactError):
        ix.load(saved)


def test_a_file_for_another_processor_is_refused(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artifact, "host_missing", lambda target: ["avx512f"])
    with pytest.raises(ArtifactError, match="needs a processor with avx512f"):
        ix.load(saved)


class _Trap:
    """Unpickling this would end the test run."""

    def __reduce__(self) -> Any:
        return (os._exit, (3,))


def test_nothing_is_unpickled(saved: Path) -> None:
    trap = pickle.dumps(_Trap())
    saved.write_bytes(trap)
    with pytest.raises(ArtifactError):
        ix.load(saved)
    with zipfile.ZipFile(saved, "w") as archive:
        archive.writestr("manifest.json", trap)
        archive.writestr("data.pkl", trap)
    with pytest.raises(ArtifactError):
        ix.load(saved)
    assert "pickle" not in Path(artifact.__file__).read_text().replace("unpickled", "")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="No such file"):
        ix.load(tmp_path / "missing.ix")
    with pytest.raises(ArtifactError, match="directory"):
        ix.load(tmp_path)


def test_a_folder_that_cannot_be_written(
    executable: Executable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ArtifactError, match="needs a writable folder"):
        executable.save(tmp_path / "missing" / "layer.ix")

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(artifact.tempfile, "mkstemp", refuse)
    with pytest.raises(ArtifactError, match="but Permission denied"):
        executable.save(tmp_path / "layer.ix")


def test_a_full_disk_leaves_the_older_file(
    executable: Executable, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = saved.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(artifact.os, "fsync", full)
    with pytest.raises(ArtifactError, match="No space left on device"):
        executable.save(saved)
    assert saved.read_bytes() == whole
    assert list(saved.parent.iterdir()) == [saved]


def test_a_closed_executable_can_be_saved_not_called(saved: Path) -> None:
    loaded = ix.load(saved)
    loaded.close()
    with pytest.raises(RuntimeFailure, match="it was closed"):
        loaded(X)
    loaded.save(saved)
    ix.load(saved)(X)
