"""Tests of the ONNX standard on GPUs: a slice by default, all of them with -m slow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from gpu_runner import runner_of

pytest.importorskip("onnx")

from ix.tools.onnx_backend import cases, run_case

pytestmark = pytest.mark.onnx

LIST = Path(__file__).parents[1] / "onnx" / "backend_passing.txt"
PROVIDER = "CPUExecutionProvider"
PARTS = 40

# One test for each kind of kernel, and ops that no other test compiles.
SLICE = """
test_argmax_keepdims_example
test_attention_4d_gqa
test_averagepool_2d_pads
test_batchnorm_example
test_cast_FLOAT_to_BFLOAT16
test_concat_3d_axis_1
test_conv_with_strides_padding
test_convtranspose_pads
test_cumsum_2d_axis_1
test_einsum_batch_matmul
test_gather_elements_1
test_gathernd_example_int32
test_gelu_tanh_1
test_gemm_all_attributes
test_group_normalization_epsilon
test_gru_defaults
test_hardmax_axis_1
test_layer_normalization_4d_axis2
test_logsoftmax_axis_1
test_lstm_with_peepholes
test_matmul_4d
test_maxpool_2d_ceil
test_mod_mixed_sign_float32
test_onehot_with_axis
test_qlinearmatmul_2D_int8_float32
test_quantizelinear_axis
test_reduce_log_sum_exp_keepdims_random
test_reduce_prod_do_not_keepdims_random
test_resize_downsample_scales_cubic
test_reversesequence_batch
test_roialign_aligned_true
test_scatter_elements_with_axis
test_scatternd_add
test_softmax_axis_0
test_spacetodepth
test_split_equal_parts_2d
test_top_k
test_transpose_all_permutations_4
test_where_long_example
""".split()


@pytest.fixture(scope="module")
def known() -> dict[str, Any]:
    return {case.name: case for case in cases()}


def test_slice(known: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of it on each target; one test, for the list of all takes long to make."""
    runners = [runner_of("sm_80"), runner_of("sm_90a-random")]
    outcomes = []
    for number, name in enumerate(SLICE):
        with monkeypatch.context() as patch:
            runners[number % 2].install(patch)
            outcomes.append(run_case(known[name], PROVIDER))
    assert [each for each in outcomes if each.kind != "pass"] == []
    assert all(runner.launches for runner in runners)


@pytest.mark.slow
@pytest.mark.parametrize("target", ["sm_80", "sm_90a"])
@pytest.mark.parametrize("part", range(PARTS))
def test_passing(
    known: dict[str, Any], monkeypatch: pytest.MonkeyPatch, part: int, target: str
) -> None:
    """In parts, so that several processes can share the work."""
    runner_of(target).install(monkeypatch)
    listed = [name for name in LIST.read_text().split() if name in known]
    outcomes = [run_case(known[name], PROVIDER) for name in listed[part::PARTS]]
    assert [each for each in outcomes if each.kind != "pass"] == []


def test_the_slice_is_listed() -> None:
    assert set(SLICE) <= set(LIST.read_text().split())
