"""On a real GPU: results against float64, graphs, streams. Skips where there is none."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gpu_programs import RANDOM, close, compiled, on, reference

from ix.errors import NoDevice, OldDriver
from ix.runtime.cuda import CudaDevice


def why_not() -> str:
    """Why no GPU can be used; empty if one can."""
    try:
        CudaDevice()
    except (NoDevice, OldDriver) as error:
        return str(error)
    return ""


@pytest.fixture
def cupy() -> Any:
    reason = why_not()
    if reason:
        pytest.skip(f"no GPU: {reason}")
    return pytest.importorskip("cupy")


def target(device: CudaDevice) -> str:
    return "sm_90a" if device.capability == (9, 0) else "sm_80"


def some(*shape: int) -> np.ndarray:
    return RANDOM.standard_normal(shape).astype(np.float32)


@pytest.mark.gpu
def test_numpy_in_numpy_out(cupy: Any) -> None:
    device = CudaDevice()
    program = on(device, "two_products", target(device))
    for _ in range(3):
        x = some(32, 64)
        close(program(x), reference(x))


@pytest.mark.gpu
def test_the_emulator_computes_the_same_bits(cupy: Any) -> None:
    device = CudaDevice()
    x = some(9, 40), some(9, 40)
    (got,) = on(device, "scaled", target(device))(*x)
    (want,) = compiled("scaled", target(device))(*x)
    np.testing.assert_array_equal(got, want)


@pytest.mark.gpu
def test_arrays_of_cupy_on_many_streams(cupy: Any) -> None:
    device = CudaDevice()
    program = on(device, "two_products", target(device))
    queued = []
    for _ in range(16):
        x = some(32, 64)
        stream = cupy.cuda.Stream(non_blocking=True)
        with stream:
            queued.append((x, stream, program(cupy.asarray(x))))
    for x, stream, outputs in queued:
        stream.synchronize()
        close([cupy.asnumpy(each) for each in outputs], reference(x))


@pytest.mark.gpu
def test_misaligned_and_strided_inputs(cupy: Any) -> None:
    device = CudaDevice()
    program = on(device, "scaled", target(device))
    wide = cupy.asarray(some(7, 81))
    strided, shifted = wide[:, :40], wide.reshape(-1)[1:281].reshape(7, 40)
    (got,) = program(shifted, strided)
    want = cupy.asnumpy(shifted).astype(np.float64) * 2 + cupy.asnumpy(strided)
    close([cupy.asnumpy(got)], [want])


@pytest.mark.gpu
def test_torch_tensors(cupy: Any) -> None:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("no GPU: torch was built without CUDA")
    device = CudaDevice()
    program = on(device, "two_products", target(device))
    x = some(32, 64)
    with torch.cuda.stream(torch.cuda.Stream()):
        outputs = program(torch.from_numpy(x).cuda())
        close([each.cpu().numpy() for each in outputs], reference(x))


@pytest.mark.gpu
def test_times_of_kernels(cupy: Any) -> None:
    device = CudaDevice()
    program = on(device, "two_products", target(device))
    profile = program.profile(some(32, 64))
    assert len(profile.kernels) == len(program.plan.launches)
    assert all(0 < kernel.median_us < 1e5 for kernel in profile.kernels)


def test_every_gpu_test_skips_with_its_reason() -> None:
    if importlib.util.find_spec("cupy") is not None and not why_not():
        pytest.skip("a GPU is there: the tests above ran")
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-m", "gpu", __file__]
    root = Path(__file__).parents[3]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root)
    marked = Path(__file__).read_text().count("\n@pytest.mark.gpu\n")
    reasons = re.findall(r"^SKIPPED \[(\d+)\] .*: no GPU: .+$", done.stdout, re.M)
    assert marked and sum(map(int, reasons)) == marked, done.stdout
    assert f"{marked} skipped" in done.stdout and " passed" not in done.stdout
