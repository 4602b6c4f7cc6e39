"""What kernels take of a multiprocessor, by ptxas: no spills, sizes that every GPU has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import compiled_runner
import numpy as np
import pytest
from gpu_runner import Assembler, GpuRunner
from lowering_check import module_of, type_text
from sum_check import assert_close

from ix.cost.cuda_tools import find_tool
from ix.dialects import context, ix
from ix.dialects.ix.reference import evaluate
from ix.mlir import ir

RNG = np.random.default_rng()


def array(dtype: Any, *shape: int) -> Any:
    return RNG.standard_normal(shape).astype(dtype)


def attention(q: Any, k: Any, v: Any) -> list[Any]:
    return [ix.AttentionOp.build(q, k, v)]


def product(a: Any, b: Any) -> list[Any]:
    return [ix.GeluOp.build(ix.MatmulOp.build(a, b))]


def rows(x: Any) -> list[Any]:
    return [ix.SoftmaxOp.build(ix.TanhOp.build(ix.ExpOp.build(x)), axis=1)]


def program_of(body: Callable[..., Any], arrays: list[Any]) -> Any:
    """Enter a context and a location before."""
    module = module_of([type_text(each) for each in arrays], body)
    return compiled_runner.program_of(module, [list(each.shape) for each in arrays])


def heads(depth: int) -> list[Any]:
    sizes = ([1, 2, 9, depth], [1, 2, 37, depth], [1, 2, 37, depth])
    return [array(np.float32, *each) for each in sizes]


# Sizes that get the largest tiles of each rule.
LARGE: list[tuple[Callable[..., Any], list[Any]]] = [
    (attention, [array(np.float32, 1, 2, 33, 144)] * 3),
    (attention, heads(256)),
    (attention, heads(510)),
    (attention, heads(512)),
    (product, [array(np.float32, 2048, 512), array(np.float32, 512, 2048)]),
    (product, [array(np.float64, 2048, 512), array(np.float64, 512, 2048)]),
    (product, [array(np.float16, 2048, 511), array(np.float16, 511, 2047)]),
    (product, [array(np.float64, 2048, 511), array(np.float64, 511, 2047)]),
    (product, [array(np.float64, 2048, 12), array(np.float64, 12, 2047)]),
    (product, [array(np.float64, 16, 512), array(np.float64, 512, 2048)]),
    (rows, [array(np.float32, 2, 50000)]),
    (rows, [array(np.float64, 2, 8192)]),
]


@pytest.mark.skipif(find_tool("ptxas") is None, reason="needs ptxas")
@pytest.mark.parametrize("case", range(len(LARGE)))
def test_large_tiles_assemble_without_spills(case: int) -> None:
    runner = Assembler()
    with context(), ir.Location.unknown():
        runner.compile_program(program_of(*LARGE[case]))
    assert runner.assembled
    assert all(each.shared_bytes <= 48 << 10 for each in runner.assembled.values())


@pytest.mark.parametrize(
    ("depth", "width"), [(144, 144), (160, 160), (199, 130), (256, 40), (32, 512)]
)
def test_attention_of_wide_rows(depth: int, width: int) -> None:
    """Rows that do not fit shared memory go through it in chunks."""
    arrays = [*heads(depth)[:2], array(np.float32, 1, 2, 37, width)]
    with context(), ir.Location.unknown():
        program = program_of(attention, arrays)
        (want,) = evaluate(program.module, arrays)
        runner = GpuRunner("sm_80")
        (got,) = runner.compile_program(program).run_flat(arrays)
    assert_close(got, want, 64)
    ((symbol, _),) = runner.launches
    assert "attention" in symbol
