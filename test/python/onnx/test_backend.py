"""The tests of the ONNX standard: the committed list passes, the rest says why.

`python -m ix.tools.onnx_backend --update test/python/onnx` writes the lists. A test
that is on none must end in `UnsupportedError`. The data of `backend_close.txt` are off
by more than those tests allow: ix must be nearer to the exact result than they are.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")

from ix.session import InferenceSession
from ix.tools.onnx_backend import cases, run_case

pytestmark = pytest.mark.onnx

FOLDER = Path(__file__).parent
PROVIDER = "CPUExecutionProvider"


def names(file: str) -> list[str]:
    return (FOLDER / file).read_text().split()


@pytest.fixture(scope="module")
def known() -> dict[str, Any]:
    return {case.name: case for case in cases()}


def test_lists_are_sorted_and_distinct() -> None:
    for file in ("backend_passing.txt", "backend_close.txt"):
        assert names(file) == sorted(set(names(file)))
    assert len(names("backend_passing.txt")) >= 1000


@pytest.mark.slow
@pytest.mark.parametrize("part", range(16))
def test_passing(known: dict[str, Any], part: int) -> None:
    """In parts, so that several processes can share the work."""
    listed = [name for name in names("backend_passing.txt") if name in known]
    outcomes = [run_case(known[name], PROVIDER) for name in listed[part::16]]
    assert [each for each in outcomes if each.kind != "pass"] == []


def test_the_rest_is_refused(known: dict[str, Any]) -> None:
    listed = {*names("backend_passing.txt"), *names("backend_close.txt")}
    outcomes = [
        run_case(case, PROVIDER) for name, case in known.items() if name not in listed
    ]
    assert [each for each in outcomes if each.kind != "unsupported"] == []


@pytest.mark.parametrize("name", names("backend_close.txt"))
def test_ix_is_nearer_than_the_data(known: dict[str, Any], name: str) -> None:
    """The data hold 1.9e-7, an error of f32 sums, where the transform is 0."""
    case = known[name]
    x, data = case.data_sets[0][0][0], case.data_sets[0][1][0]
    spectrum = x.astype(np.float64).view(np.complex128)
    exact = np.fft.ifft(spectrum, axis=1).view(np.float64)
    session = InferenceSession(case.model, providers=[PROVIDER])
    feed = {"x": x, "axis": np.int64(1)}  # an attribute in opset 19
    inputs = [each.name for each in session.get_inputs()]
    (got,) = session.run(None, {name: feed[name] for name in inputs})
    assert got.dtype == data.dtype and got.shape == data.shape
    error, allowed = np.abs(got - exact), np.abs(data - exact)
    assert np.all(error <= allowed + np.spacing(np.abs(got)) / 2)
    assert error.max() < allowed.max() / 2


@pytest.mark.parametrize(
    "name",
    [
        "test_attention_4d_gqa_with_past_and_present",
        "test_conv_with_autopad_same",
        "test_gemm_all_attributes",
        "test_layer_normalization_4d_axis2",
        "test_lstm_with_peepholes",
        "test_resize_upsample_scales_linear",
        "test_softmax_axis_1",
        "test_top_k",
    ],
)
def test_reference_agrees(known: dict[str, Any], name: str) -> None:
    """A sample on the reference semantics, without the compiler."""
    assert run_case(known[name], "ReferenceExecutionProvider").kind == "pass"
