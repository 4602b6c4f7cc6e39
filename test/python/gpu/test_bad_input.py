"""What the GPU path refuses: typed errors that name the need, the fact, the remedy."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ix
from ix.errors import ArtifactError, InputError, RuntimeFailure

X = np.random.default_rng().standard_normal((3, 8)).astype(np.float32)
OPTIONS: dict[str, Any] = {"target": "sm_90a", "device": "emulator"}


@pytest.fixture
def executable() -> Any:
    function = ix.jit(lambda x: np.tanh(x) + 1, **OPTIONS)
    return function.lower(X).compile().executable


def test_an_unknown_device() -> None:
    with pytest.raises(InputError, match=r"devices .*emulator.* got 'abacus'"):
        ix.jit(lambda x: x + 1, target="sm_90a", device="abacus")(X)


def test_a_device_for_a_cpu_program() -> None:
    with pytest.raises(InputError, match=r"device cpu.*'emulator'; leave device out"):
        ix.jit(lambda x: x + 1, device="emulator")(X)


def test_another_dtype_is_refused(executable: Any) -> None:
    with pytest.raises(InputError, match=r"float32.*float64"):
        executable(X.astype(np.float64))


@pytest.mark.parametrize("shape", [(3, 9), (8,), (3, 8, 1), (0, 8)])
def test_another_shape_is_refused(executable: Any, shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"'?x"):
        executable(np.zeros(shape, np.float32))


def test_another_number_of_inputs_is_refused(executable: Any) -> None:
    with pytest.raises(InputError, match=r"1 input.*2"):
        executable(X, X)


def test_a_closed_executable_is_refused(executable: Any) -> None:
    executable(X)
    executable.close()
    executable.close()
    with pytest.raises(RuntimeFailure, match=r"open executable.*closed; compile or"):
        executable(X)


def test_the_round_trip(executable: Any, tmp_path: Path) -> None:
    executable.save(tmp_path / "program.ix")
    loaded = ix.load(tmp_path / "program.ix", device="emulator")
    np.testing.assert_array_equal(loaded(X)[0], executable(X)[0])
    with pytest.raises(InputError, match=r"devices .*emulator.* got 'abacus'"):
        ix.load(tmp_path / "program.ix", device="abacus")


def test_every_member_of_an_artefact_has_a_checksum(
    executable: Any, tmp_path: Path
) -> None:
    path = tmp_path / "program.ix"
    executable.save(path)
    with zipfile.ZipFile(path) as archive:
        places = [each.header_offset for each in archive.infolist() if each.file_size]
    whole = path.read_bytes()
    for place in [*places, len(whole) // 2]:
        damaged = bytearray(whole)
        damaged[place + 200 if place + 200 < len(whole) else -1] ^= 0xFF
        path.write_bytes(damaged)
        with pytest.raises(ArtifactError, match=r"program\.ix"):
            ix.load(path, device="emulator")(X)


def test_a_tensor_that_does_not_fit_is_refused() -> None:
    huge = ix.jit(
        lambda x: np.broadcast_to(x[:, :, None], (*x.shape, 1 << 40)) + 1, **OPTIONS
    )
    with pytest.raises(RuntimeFailure, match=r"needs \S+ MiB.*declare smaller"):
        huge(X)


def test_functions_of_f64_need_no_library() -> None:
    x = np.abs(X).astype(np.float64) + 0.1

    def body(x: Any) -> Any:
        return np.exp(x), np.log(x), np.sin(1e6 * x), np.power(x, 1.5), np.tanh(x)

    for got, want in zip(ix.jit(body, **OPTIONS)(x), body(x), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-14)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (2, 0, 4)])
def test_tensors_without_elements(shape: tuple[int, ...]) -> None:
    def body(x: Any) -> Any:
        return x + 1, x.sum(axis=-1), x.sum(), np.concatenate([x, x], axis=0)

    x = np.zeros(shape, np.float32)
    for got, want in zip(ix.jit(body, **OPTIONS)(x), body(x), strict=True):
        np.testing.assert_array_equal(got, want)
