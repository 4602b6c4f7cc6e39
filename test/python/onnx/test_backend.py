"""The tests of the ONNX standard: the committed list passes, the rest says why.

`python -m ix.tools.onnx_backend --update test/python/onnx` writes the lists. A test that is not on it must end in `UnsupportedError`, but for those of
`backend_close.txt`: their outputs differ by a few roundings, where the test allows
none.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("onnx")

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
