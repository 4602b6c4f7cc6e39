"""Random small graphs of ix ops, compiled, against the NumPy reference in float64.

Values stay small and functions smooth, so that rounding errors of inputs stay roundings.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ix.compiler import compile_program
from ix.dialects.ix import reference
from ix.dim import Dim
from ix.importer import builder as b
from ix.importer.program import Module

SIZES = st.sampled_from([1, 2, 3, 5, 8, 16, 17, 33])

# Each takes tensors of one shape and is smooth where its inputs lie, so that a rounding
# error of its inputs stays one.
UNARY: list[Callable[[Any], Any]] = [
    b.tanh,
    b.sigmoid,
    b.erf,
    b.relu,
    b.abs,
    b.neg,
    lambda x: b.exp(b.minimum(x, 3.0)),
    lambda x: b.log(b.add(b.abs(x), 0.5)),
    lambda x: b.sqrt(b.add(b.mul(x, x), 0.1)),
    lambda x: b.gelu(x),
    lambda x: b.silu(x),
    lambda x: b.clip(x, -1.0, 2.0),
]
BINARY = [b.add, b.sub, b.mul, b.maximum, b.minimum]


def reshape_flat(x: Any) -> Any:
    return b.reshape(x, (-1,)) if x.type.rank else x


class Graph:
    """Draws ops on a pool of tensors; every value stays between about −10 and 10."""

    def __init__(self, draw: Any, pool: list[Any]) -> None:
        self.draw = draw
        self.pool = pool

    def pick(self) -> Any:
        return self.draw(st.sampled_from(self.pool))

    def step(self) -> None:
        kind = self.draw(st.sampled_from(sorted(STEPS)))
        result = STEPS[kind](self, self.pick())
        if result is not None:
            self.pool.append(b.clip(result, -10.0, 10.0))

    def alike(self, x: Any) -> list[Any]:
        """The tensors whose sizes are known to be those of `x`."""
        return [y for y in self.pool if str(b.shape(y)) == str(b.shape(x))]

    def axis(self, x: Any) -> int | None:
        if x.type.rank == 0:
            return None
        return self.draw(st.integers(0, x.type.rank - 1))


def unary(graph: Graph, x: Any) -> Any:
    return graph.draw(st.sampled_from(UNARY))(x)


def binary(graph: Graph, x: Any) -> Any:
    same = graph.alike(x)
    y = graph.draw(st.sampled_from(same))
    if x.type.rank and graph.draw(st.booleans()):  # broadcast one axis
        axis = graph.axis(x)
        y = b.mean(y, axis=axis, keepdims=True)
    return graph.draw(st.sampled_from(BINARY))(x, y)


def reduce(graph: Graph, x: Any) -> Any:
    axis = graph.axis(x)
    if axis is None:
        return None
    function = graph.draw(st.sampled_from([b.mean, b.reduce_max, b.reduce_min]))
    return function(x, axis=axis, keepdims=graph.draw(st.booleans()))


def softmax(graph: Graph, x: Any) -> Any:
    axis = graph.axis(x)
    return None if axis is None else b.softmax(x, axis=axis)


def norm(graph: Graph, x: Any) -> Any:
    if x.type.rank == 0 or x.type.shape[-1] == 1:
        return None
    # A large epsilon: the derivative stays small where a row is nearly constant.
    return b.layer_norm(x, axis=-1, epsilon=0.1)


def transpose(graph: Graph, x: Any) -> Any:
    order = graph.draw(st.permutations(range(x.type.rank)))
    return b.transpose(x, tuple(order))


def flatten(graph: Graph, x: Any) -> Any:
    return reshape_flat(x)


def slice_(graph: Graph, x: Any) -> Any:
    axis = graph.axis(x)
    if axis is None or not x.type.has_static_shape:
        return None
    size = x.type.shape[axis]
    start = graph.draw(st.integers(0, max(size - 1, 0)))
    step = graph.draw(st.sampled_from([1, 2, -1]))
    index = [slice(None)] * x.type.rank
    index[axis] = slice(None, None, step) if step < 0 else slice(start, None, step)
    return b.getitem(x, tuple(index))


def concat(graph: Graph, x: Any) -> Any:
    axis = graph.axis(x)
    if axis is None:
        return None
    same = graph.alike(x)
    return b.concat([x, graph.draw(st.sampled_from(same))], axis=axis)


def pad(graph: Graph, x: Any) -> Any:
    axis = graph.axis(x)
    if axis is None:
        return None
    width = [(0, 0)] * x.type.rank
    width[axis] = (graph.draw(st.integers(0, 2)), graph.draw(st.integers(0, 3)))
    return b.pad(x, width)


def matmul(graph: Graph, x: Any) -> Any:
    if x.type.rank < 2:
        return None
    same = graph.alike(x)
    y = graph.draw(st.sampled_from(same))
    axes = list(range(x.type.rank))
    axes[-1], axes[-2] = axes[-2], axes[-1]
    product = b.matmul(x, b.transpose(y, tuple(axes)))
    return b.mul(product, 0.1)


STEPS = {
    "binary": binary,
    "concat": concat,
    "flatten": flatten,
    "matmul": matmul,
    "norm": norm,
    "pad": pad,
    "reduce": reduce,
    "slice": slice_,
    "softmax": softmax,
    "transpose": transpose,
    "unary": unary,
}


@st.composite
def programs(draw: Any, dtype: str = "float32", dynamic: bool = False) -> Any:
    """A program of 1 to 10 ops on one or two inputs, and inputs for it."""
    rank = draw(st.integers(1 if dynamic else 0, 3))
    shape = [draw(SIZES) for _ in range(rank)]
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    declared: list[Any] = list(shape)
    if dynamic:
        declared[0] = Dim("n", 1, 40)
    with Module("random") as module:
        pool = [module.argument(f"x{n}", declared, dtype) for n in range(2)]
        graph = Graph(draw, pool)
        for _ in range(draw(st.integers(1, 10))):
            graph.step()
        count = draw(st.integers(1, min(3, len(pool))))
        program = module.finish(
            [(f"y{n}", value) for n, value in enumerate(pool[-count:])]
        )
    inputs = [rng.standard_normal(shape).astype(dtype) for _ in range(2)]
    return program, inputs


def check(program: Any, inputs: list[np.ndarray], tolerance: float) -> None:
    """The compiled program against the reference in float64."""
    executable = compile_program(program, cache=False)
    want = reference.evaluate(
        program.module, inputs, dict(program.weights), precise=True
    )
    got = executable.run_flat(inputs)
    assert len(got) == len(want)
    for mine, exact in zip(got, want, strict=True):
        assert mine.shape == exact.shape
        assert mine.dtype == exact.dtype
        np.testing.assert_allclose(
            mine.astype(np.float64),
            exact.astype(np.float64),
            rtol=tolerance,
            atol=tolerance,
        )


relaxed = settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


@relaxed
@given(programs())
def test_float32_graphs_agree(case: Any) -> None:
    check(*case, tolerance=2e-5)


@relaxed
@given(programs(dtype="float64"))
def test_float64_graphs_agree(case: Any) -> None:
    check(*case, tolerance=1e-9)


@relaxed
@given(programs(dynamic=True))
def test_dynamic_graphs_agree(case: Any) -> None:
    check(*case, tolerance=2e-5)


@pytest.mark.parametrize("dtype, tolerance", [("float16", 2e-2), ("bfloat16", 1e-1)])
def test_short_floats_agree(dtype: str, tolerance: float) -> None:
    @settings(relaxed, max_examples=6)
    @given(programs(dtype=dtype))
    def run(case: Any) -> None:
        check(*case, tolerance=tolerance)

    run()
