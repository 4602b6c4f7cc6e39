"""Why a kernel got the rule that it got: each code, on small programs that give it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import compiled_runner
import numpy as np
import pytest
from lowering_check import module_of

from ix.compiler import code_of, lower
from ix.dialects import context, ix
from ix.importer.program import Program
from ix.mlir import ir
from ix.passes.compiled_program import kernel_functions
from ix.passes.gpu.choose_rule import code_of as gpu_code_of
from ix.passes.schedule.ask_rules import rule_of
from ix.passes.schedule.choose_rule import loops_of
from ix.runtime.explain import explain, explain_json
from ix.runtime.plan import Plan
from ix.runtime.reasons import DECLINED, REASONS
from ix.target import Target

PASSES = Path(__file__).parents[3] / "passes"
MOST = 64
"""The upper bound of each dynamic size."""

TILES, VECTORS, GPU = "cpu:amx", "cpu:avx512", "sm_90a"
IMAGE = "1x32x20x20xf32"
FACTORS = "32x64xf32 64x96xf32"
SCATTER = "8xf32 4xi64 4xf32"
PRODUCT = ix.MatmulOp.build


def constant(*shape: int, dtype: Any = np.float32) -> Any:
    numbers = np.random.default_rng().standard_normal(shape)
    return ix.ConstantOp.build(numbers.astype(dtype))


def dense(x: Any) -> Any:
    return PRODUCT(x, constant(32, 64))


def dense_f64(x: Any) -> Any:
    return PRODUCT(x, constant(32, 64, dtype=np.float64))


def dense_across(x: Any) -> Any:
    return PRODUCT(x, constant(32, 64), transpose_a=True)


def scores(a: Any, b: Any) -> Any:
    return PRODUCT(a, b, transpose_b=True)


def conv(x: Any, *filters: Any) -> Any:
    return ix.ConvOp.build(x, *filters or [constant(32, 32, 3, 3)])


def conv_f64(x: Any) -> Any:
    return conv(x, constant(32, 32, 3, 3, dtype=np.float64))


def conv_of_few(x: Any) -> Any:
    return conv(x, constant(32, 3, 5, 5))


def depthwise(x: Any) -> Any:
    return ix.ConvOp.build(x, constant(32, 1, 3, 3), groups=32)


def conv_in_ones(x: Any) -> Any:
    one = ix.ConstantOp.build(np.float32(1))
    padded = ix.PadOp.build(x, one, low=[0, 1, 1, 0], high=[0, 1, 1, 0])
    return ix.ConvOp.build(padded, constant(3, 3, 32, 32), layout="NHWC")


def total(x: Any) -> Any:
    return ix.ReduceSumOp.build(x, axes=[1])


def total_down(x: Any) -> Any:
    return ix.ReduceSumOp.build(x, axes=[0])


def largest(x: Any) -> Any:
    return ix.ReduceMaxOp.build(x, axes=[1], keepdims=True)


def weighed(x: Any) -> Any:
    return total(ix.MulOp.build(x, largest(x)))


def softmax(x: Any) -> Any:
    return ix.SoftmaxOp.build(x, axis=x.type.rank - 1)


def tail(x: Any) -> Any:
    """The rows without their first element."""
    return ix.SliceOp.build(x, starts=[0, 1], limits=x.type.shape)


def softmax_of_tail(x: Any) -> Any:
    return softmax(tail(x))


def total_of_tail(x: Any) -> Any:
    return total(tail(x))


def tail_and(x: Any, y: Any) -> Any:
    return ix.AddOp.build(tail(x), y)


def turned(x: Any) -> Any:
    return ix.TransposeOp.build(x, permutation=[1, 0])


def turned_and(x: Any, y: Any) -> Any:
    return ix.AddOp.build(turned(x), y)


def sort(x: Any) -> Any:
    return ix.SortOp.build(x, axis=1)[0]


def top(x: Any) -> Any:
    return ix.TopkOp.build(x, k=1, axis=1)


def scatter(x: Any, indices: Any, updates: Any) -> Any:
    return ix.ScatterOp.build(x, indices, updates, axis=0)


def rows_of_product(a: Any, b: Any) -> Any:
    return softmax(PRODUCT(a, b))


def columns_of_product(a: Any, b: Any) -> Any:
    return softmax(turned(PRODUCT(a, b)))


def rows_of_sum(a: Any, b: Any, c: Any) -> Any:
    return softmax(ix.AddOp.build(PRODUCT(a, b), c))


def two_readers(a: Any, b: Any) -> Any:
    made = PRODUCT(a, b)
    return softmax(made), ix.TanhOp.build(made)


def sorted_between(a: Any, b: Any) -> Any:
    made = PRODUCT(a, b)
    return softmax(ix.AddOp.build(made, sort(made)))


class Case(NamedTuple):
    """A program and what declined a kernel of it.

    types: Of its arguments.
    rule: The rule that made the kernel.
    declined: The one that did not, or a way of one.
    least: The lower bound of each dynamic size.
    """

    target: str
    body: Callable[..., Any]
    types: str
    rule: str
    declined: str
    least: int = 1


CASES = {
    "no-matrix-tiles": [
        Case(VECTORS, dense, "64x32xf32", "contraction", "tiled_matmul"),
        Case(VECTORS, conv, IMAGE, "convolution", "tiled_convolution"),
    ],
    "not-constant": [
        Case(TILES, PRODUCT, "64x32xf32 32x64xf32", "contraction", "tiled_matmul"),
        Case(TILES, conv, f"{IMAGE} 32x32x3x3xf32", "reduce", "convolution"),
    ],
    "other-elements": [
        Case(TILES, dense_f64, "64x32xf64", "contraction", "tiled_matmul"),
        Case(TILES, PRODUCT, "64x32xi32 32x64xi32", "reduce", "contraction"),
        Case(TILES, conv_f64, "1x32x20x20xf64", "reduce", "convolution"),
        Case(GPU, PRODUCT, "4x128xf64 128x64xf64", "contraction", "small_m"),
        Case(GPU, largest, "4x100000xf16", "row", "split_row"),
    ],
    "across-depth": [
        Case(TILES, dense_across, "32x64xf32", "contraction", "tiled_matmul")
    ],
    "along-depth": [
        Case(GPU, scores, "4x128xf32 64x128xf32", "contraction", "small_m")
    ],
    "few-rows": [
        Case(TILES, dense, "4x32xf32", "contraction", "tiled_matmul"),
        Case(TILES, dense, "?x32xf32", "contraction", "tiled_matmul"),
        Case(TILES, conv, "1x32x4x4xf32", "convolution", "tiled_convolution"),
    ],
    "many-rows": [
        Case(GPU, PRODUCT, "64x128xf32 128x64xf32", "contraction", "small_m"),
        Case(GPU, rows_of_product, "32x64xf32 64x96xf32", "product_rows", "small_m"),
    ],
    "may-be-empty": [
        Case(GPU, PRODUCT, "4x?xf32 ?x64xf32", "reduce", "contraction", 0),
        Case(GPU, PRODUCT, "4x?xf32 ?x64xf32", "reduce", "small_m", 0),
        Case(GPU, softmax, "4x?xf32", "thread_row", "row", 0),
        Case(GPU, softmax, "4x?xf32", "thread_row", "split_row", 0),
    ],
    "dynamic-depth": [
        Case(VECTORS, scores, "64x?xf32 64x?xf32", "reduce", "contraction"),
        Case(GPU, PRODUCT, "4x?xf32 ?x64xf32", "small_m", "split_depth"),
    ],
    "dynamic-image": [Case(TILES, conv, "1x32x?x?xf32", "reduce", "convolution")],
    "other-padding": [
        Case(TILES, conv_in_ones, "1x20x20x32xf32", "reduce", "convolution")
    ],
    "tiles-not-full": [
        Case(TILES, depthwise, IMAGE, "convolution", "tiled_convolution"),
        Case(TILES, conv_of_few, "1x3x20x20xf32", "convolution", "tiled_convolution"),
    ],
    "short-depth": [
        Case(GPU, PRODUCT, "4x8xf32 8x64xf32", "contraction", "small_m"),
        Case(GPU, PRODUCT, "4x128xf32 128x64xf32", "small_m", "split_depth"),
    ],
    "enough-blocks": [
        Case(GPU, PRODUCT, "2048x128xf32 128x2048xf32", "contraction", "split_depth"),
        Case(GPU, total, "200x100000xf32", "row", "split_row"),
        Case(GPU, total_down, "64x100000xf32", "reduce", "sliced_reduce"),
    ],
    "short-row": [
        Case(GPU, total, "8x64xf32", "row", "split_row"),
        Case(GPU, total_down, "4x100xf32", "reduce", "sliced_reduce"),
    ],
    "several-sweeps": [Case(GPU, softmax, "4x100000xf32", "row", "split_row")],
    "long-row": [
        Case(VECTORS, softmax, "4x300000xf32", "row", "kept_row"),
        Case(GPU, softmax, "4x50000xf32", "row", "row_in_registers"),
        Case(GPU, softmax, "4x200000xf32", "row", "row_in_shared_memory"),
    ],
    "no-online-pair": [Case(GPU, weighed, "4x200000xf32", "row", "online_row")],
    "partial-vectors": [
        Case(GPU, softmax, "4x63xf32", "row", "vector_row"),
        Case(GPU, ix.AddOp.build, "4x7xf32 7xf32", "elementwise", "vector_elementwise"),
    ],
    "scattered-vectors": [
        Case(GPU, total_of_tail, "4x100001xf32", "row", "split_row"),
        Case(GPU, softmax_of_tail, "4x65xf32", "row", "vector_row"),
        Case(GPU, tail_and, "4x65xf32 64xf32", "elementwise", "vector_elementwise"),
    ],
    "short-axis": [
        Case(GPU, turned_and, "100x4xf32 4x100xf32", "elementwise", "transpose")
    ],
    "long-line": [Case(GPU, sort, "4x5000xf32", "long_sort", "sort")],
    "much-scratch": [Case(GPU, sort, "20000x5000xf32", "thread_sort", "long_sort")],
    "many-counters": [
        Case(GPU, top, "9000x5000xf32", "thread_sort", "long_sort"),
        Case(GPU, rows_of_product, "4200000x64xf32 64x96xf32", "row", "product_rows"),
    ],
    "few-neighbours": [Case(GPU, scatter, SCATTER, "thread_scatter", "scatter_rows")],
    "short-line": [Case(GPU, scatter, SCATTER, "thread_scatter", "scatter_chunks")],
    "many-updates": [
        Case(
            GPU,
            ix.ScatterNdOp.build,
            "10x64xf32 20000x1xi64 20000x64xf32",
            "scatter_chunks",
            "scatter_rows",
        )
    ],
    "wide-heads": [
        Case(
            GPU,
            ix.AttentionOp.build,
            "1x2x9x512xf32 1x2x37x512xf32 1x2x37x512xf32",
            "attention",
            "whole_heads",
        )
    ],
    "batched": [
        Case(GPU, rows_of_product, "2x32x64xf32 2x64x96xf32", "row", "product_rows")
    ],
    "several-outputs": [Case(GPU, two_readers, FACTORS, "row", "product_rows")],
    "not-its-rows": [Case(GPU, columns_of_product, FACTORS, "row", "product_rows")],
    "other-sizes": [
        Case(GPU, rows_of_sum, f"{FACTORS} ?x32x96xf32", "row", "product_rows")
    ],
    "read-between": [Case(GPU, sorted_between, FACTORS, "row", "product_rows")],
}


def program_of(body: Callable[..., Any], types: str, least: int = 1) -> Program:
    """Enter a context and a location before."""

    def results(*arguments: Any) -> Any:
        found = body(*arguments)
        return found if isinstance(found, (list, tuple)) else [found]

    shapes = types.split()
    module = module_of([f"tensor<{text}>" for text in shapes], results)
    program = compiled_runner.program_of(
        module, [[MOST] * t.count("x") for t in shapes]
    )
    dims = str(module.operation.attributes["ix.dims"]).replace("[0,", f"[{least},")
    module.operation.attributes["ix.dims"] = ir.Attribute.parse(dims)
    return program


def plan_of(body: Callable[..., Any], types: str, target: str) -> Plan:
    with context(), ir.Location.unknown():
        return code_of(program_of(body, types), target).plan


@pytest.mark.parametrize(
    ("code", "case"),
    [(code, case) for code, cases in CASES.items() for case in cases],
    ids=lambda value: value if isinstance(value, str) else value.declined,
)
def test_kernel_says_what_declined_it(code: str, case: Case) -> None:
    with context(), ir.Location.unknown():
        program = program_of(case.body, case.types, case.least)
        module = lower(program, case.target, "schedule")
        functions = kernel_functions(module)
        target = Target.parse(case.target)
        for function in functions.values():
            (gpu_code_of if case.target == GPU else loops_of)(function, target)
        said = [rule_of(function) for function in functions.values()]
    assert any(
        rule == case.rule and (case.declined, code) in declined
        for rule, declined in said
    ), said


def test_every_code_has_a_sentence_and_a_rule() -> None:
    given = set()
    for path in PASSES.rglob("*.py"):
        text = path.read_text()
        given.update(re.findall(r"(?s)\bneeds\([^\n]*?, \"([a-z-]+)\"", text))
        given.update(re.findall(r"\bdecline\(\"([a-z-]+)\"", text))
    assert given == set(DECLINED) == set(CASES)
    assert not set(DECLINED) & set(REASONS)


@pytest.mark.parametrize("target", [TILES, GPU])
def test_kernels_that_nothing_declined_say_nothing(target: str) -> None:
    bodies = {TILES: (dense, "64x32xf32"), GPU: (turned, "64x64xf32")}
    (kernel,) = plan_of(*bodies[target], target).kernels
    assert kernel.declined == ()
    assert kernel.rule == {TILES: "contraction", GPU: "transpose"}[target]


def test_explain_lists_launches_by_rule() -> None:
    def body(x: Any, w: Any) -> Any:
        for _ in range(3):
            x = ix.ReluOp.build(PRODUCT(x, w))
        return softmax(x)

    plan = plan_of(body, "4x4xf32 4x4xf32", VECTORS)
    text = explain(plan)
    section = text[text.index("\nRules\n") : text.index("\nFused\n")].split("\n")
    assert section == [
        "",
        "Rules",
        "  matmul by contraction: 0–2",
        f"    not tiled_matmul (no-matrix-tiles): {DECLINED['no-matrix-tiles']}",
        "  row: 3",
        "",
    ]
    data = explain_json(plan)
    assert data["declined"] == {"no-matrix-tiles": DECLINED["no-matrix-tiles"]}
    assert Plan.from_json(json.loads(json.dumps(data["plan"]))) == plan


def test_merged_kernel_says_what_declined_its_parts() -> None:
    (kernel,) = plan_of(rows_of_product, FACTORS, GPU).kernels
    assert (kernel.rule, kernel.family) == ("product_rows", "matmul_rows")
    assert kernel.declined == (("small_m", "many-rows"),)
