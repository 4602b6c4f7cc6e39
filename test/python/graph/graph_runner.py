"""Runs graph passes on small programs and compares what they compute in float64."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ix.dialects.ix.reference import evaluate
from ix.importer.program import Module, Program
from ix.mlir import func, ops_in
from ix.passes.framework import Pass, run_passes

Array = np.ndarray[Any, Any]


def sample(name: str, *shape: int, dtype: Any = np.float32) -> Array:
    """Fresh numbers that depend on the case's name alone."""
    random = np.random.default_rng(zlib.crc32(name.encode()))
    return random.standard_normal(shape).astype(dtype)


def built(build: Callable[..., Any], *inputs: Array) -> Program:
    """The program that a function of builder values describes."""
    with Module("f") as module:
        arguments = [
            module.argument(f"x{i}", each.shape, each.dtype)
            for i, each in enumerate(inputs)
        ]
        return module.finish([("y", build(*arguments))])


def transform(
    program: Program,
    inputs: Sequence[Array],
    passes: Sequence[Pass | str],
    tolerance: float = 1e-5,
) -> list[str]:
    """Runs passes and compares the results in float64; returns the ops of @main."""
    module = program.module
    weights = {name: program.weights.array(name) for name in program.weights}
    before = evaluate(module, inputs, weights, precise=True)
    run_passes(module, passes)
    functions = {f.name.value: f for f in ops_in(module, func.FuncOp)}
    if "constants" in functions:
        constants = evaluate(functions["constants"], [], weights, precise=True)
        weights |= {f"@{i}": array for i, array in enumerate(constants)}
    after = evaluate(functions["main"], inputs, weights, precise=True)
    for got, want in zip(after, before, strict=True):
        assert got.dtype == want.dtype
        scale = max(1.0, float(np.abs(want.astype(np.float64)).max()))
        np.testing.assert_allclose(
            got.astype(np.float64), want.astype(np.float64), atol=tolerance * scale
        )
    return [op.operation.name for op in ops_in(functions["main"])][:-1]
