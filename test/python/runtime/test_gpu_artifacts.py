"""Saved GPU programs: what is in the file, and loading it where nothing compiles."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import fake_cupy
import numpy as np
import pytest
from gpu_programs import RANDOM, close, compiled, reference

import ix
from ix.errors import InputError
from ix.runtime.device_executable import DeviceExecutable

# Imports that are blocked are as good as packages that are not there.
ALONE = """
import sys
for name in ("torch_mlir", "llvmlite", "torch", "cupy", "onnx"):
    sys.modules[name] = None
import numpy as np
import ix
program = ix.load(sys.argv[1], device="emulator")
outputs = program(np.load(sys.argv[2]))
np.savez(sys.argv[3], *outputs)
print(program.profile(np.load(sys.argv[2])))
print(program.explain())
"""


@pytest.mark.parametrize("target", ["sm_80", "sm_90a"])
def test_a_saved_program_runs_where_nothing_compiles(
    tmp_path: Path, target: str
) -> None:
    program = compiled("two_products", target)
    x = RANDOM.standard_normal((32, 64)).astype(np.float32)
    program.save(tmp_path / "p.ix")
    np.save(tmp_path / "x.npy", x)
    files = [str(tmp_path / name) for name in ("p.ix", "x.npy", "y.npz")]
    done = subprocess.run(
        [sys.executable, "-c", ALONE, *files], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert f"{len(program.plan.launches)} launches" in done.stdout
    assert f"for {target}" in done.stdout
    found = np.load(tmp_path / "y.npz")
    outputs = [found[name] for name in found.files]
    close(outputs, reference(x))
    for got, want in zip(outputs, program(x), strict=True):
        np.testing.assert_array_equal(got, want)


def test_a_file_holds_ptx_and_cubin_of_each_kernel(tmp_path: Path) -> None:
    program = compiled("two_products")
    program.save(tmp_path / "p.ix")
    with zipfile.ZipFile(tmp_path / "p.ix") as archive:
        names = sorted(n for n in archive.namelist() if n.startswith("objects/"))
        objects = [archive.read(f"objects/{n}.o") for n in range(len(names))]
    assert len(objects) == 2 * len(program.plan.kernels)
    for number, kernel in enumerate(program.plan.kernels):
        assert f".entry {kernel.symbol}(".encode() in objects[2 * number]
        cubin = objects[2 * number + 1]
        assert cubin == b"" or cubin.startswith(b"\x7fELF")
    loaded = ix.load(tmp_path / "p.ix", device="emulator")
    assert isinstance(loaded, DeviceExecutable) and loaded.objects == objects
    assert loaded.plan == program.plan


def test_a_loaded_program_runs_on_cuda(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cupy = fake_cupy.make_cupy(gpus=2)
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    compiled("two_products").save(tmp_path / "p.ix")
    x = RANDOM.standard_normal((32, 64)).astype(np.float32)
    for device, number in ((None, 0), ("cuda", 0), ("cuda:1", 1)):
        loaded: Any = ix.load(tmp_path / "p.ix", device=device)
        assert loaded.device.id == number
        close(loaded(x), reference(x))


def test_the_device_has_to_be_of_the_programs_kind(tmp_path: Path) -> None:
    compiled("two_products").save(tmp_path / "p.ix")
    with pytest.raises(InputError, match="needs one of the devices cuda, emulator"):
        ix.load(tmp_path / "p.ix", device="cpu")


def test_what_the_emulator_counts_is_the_profile() -> None:
    program = compiled("two_products")
    x = RANDOM.standard_normal((32, 64)).astype(np.float32)
    profile = program.profile(x)
    assert [k.launch for k in profile.kernels] == list(
        range(len(program.plan.launches))
    )
    stored = sum(k.amounts["global_store_bytes"] for k in profile.kernels)
    assert stored >= (32 * 32 + 32) * 4
    data = profile.to_json()["kernels"]
    assert data[0]["counters"]["global_store_sectors"] and data[0]["family"]
    assert len(str(profile).splitlines()) == 2 + len(program.plan.launches)
