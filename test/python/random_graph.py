"""Random small graphs of ix ops, drawn by hypothesis, and their inputs.

Values stay small and functions smooth, so that rounding errors of inputs stay roundings.
What programs spell out in primitive ops, passes recognise; what is said twice or does
nothing, they remove.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from ix.dim import Dim
from ix.importer import builder as b
from ix.importer.program import Module

SIZES = st.sampled_from([1, 2, 3, 5, 8, 16, 17, 33])
LIMIT = 10.0
"""Values are clipped to ±LIMIT after each step that computes."""

# Each takes tensors of one shape and is smooth where its inputs lie.
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
    # Activations as programs spell them.
    lambda x: b.true_divide(1.0, b.add(1.0, b.exp(b.neg(x)))),
    lambda x: b.mul(b.mul(x, 0.5), b.add(b.erf(b.mul(x, 0.5**0.5)), 1.0)),
    lambda x: b.mul(x, b.true_divide(1.0, b.add(1.0, b.exp(b.neg(x))))),
    # What is simplified away, or computed ahead.
    lambda x: b.neg(b.neg(b.add(b.mul(x, 1.0), 0.0))),
    lambda x: b.mul(x, b.add(b.mul(b.full((), 0.25, b.dtype(x)), 2.0), 0.5)),
    lambda x: b.where(b.gt(x, 0.25), x, b.mul(x, x)),
]
BINARY = [b.add, b.sub, b.mul, b.maximum, b.minimum]


class Graph:
    """Draws ops on a pool of tensors; every value stays between ±LIMIT."""

    def __init__(
        self, draw: Any, module: Module, pool: list[Any], seed: int, dtype: str
    ) -> None:
        self.draw = draw
        self.module = module
        self.pool = pool
        self.random = np.random.default_rng(seed)
        self.dtype = dtype
        self.least = min([each.minimum for each in module.dims.values()], default=1)

    def step(self) -> None:
        kind = self.draw(st.sampled_from(sorted({**MOVES, **STEPS})))
        x = self.draw(st.sampled_from(self.pool))
        if kind in MOVES:
            result = MOVES[kind](self, x)
        else:
            result = STEPS[kind](self, x)
            result = None if result is None else b.clip(result, -LIMIT, LIMIT)
        if result is not None:
            self.pool.append(result)

    def alike(self, x: Any) -> Any:
        """A tensor whose sizes are known to be those of `x`."""
        same = [y for y in self.pool if str(b.shape(y)) == str(b.shape(x))]
        return self.draw(st.sampled_from(same))

    def axis(self, x: Any) -> int | None:
        if x.type.rank == 0:
            return None
        return self.draw(st.integers(0, x.type.rank - 1))

    def filled_axis(self, x: Any) -> int | None:
        """An axis that surely has elements."""
        axis = self.axis(x)
        return axis if axis is not None and self.is_filled(x, axis) else None

    def is_filled(self, x: Any, axis: int) -> bool:
        """Whether an axis has elements, whatever the sizes of dimensions are."""
        size = b.shape(x)[axis]
        return (size if isinstance(size, int) else self.least) > 0

    def weight(self, *shape: int) -> Any:
        """A parameter whose products with unit vectors have about unit size."""
        scale = 1 / max(1, shape[-1] if shape else 1) ** 0.5
        data = self.random.standard_normal(shape) * scale
        return self.module.parameter(data.astype(self.dtype))


def static_size(x: Any, axis: int) -> int | None:
    """The size of an axis, or None where it is dynamic or nothing."""
    size = b.shape(x)[axis] if x.type.rank else None
    return size if isinstance(size, int) and size > 0 else None


def swapped(x: Any) -> Any:
    return b.transpose(x, [*range(x.type.rank - 2), x.type.rank - 1, x.type.rank - 2])


def unary(graph: Graph, x: Any) -> Any:
    return graph.draw(st.sampled_from(UNARY))(x)


def binary(graph: Graph, x: Any) -> Any:
    y = graph.alike(x)
    if x.type.rank and graph.draw(st.booleans()):  # broadcast one axis
        axis = graph.filled_axis(x)
        if axis is not None:
            y = b.mean(y, axis=axis, keepdims=True)
    return graph.draw(st.sampled_from(BINARY))(x, y)


def reduce(graph: Graph, x: Any) -> Any:
    axis = graph.filled_axis(x)
    if axis is None:
        return None
    function = graph.draw(st.sampled_from([b.mean, b.reduce_max, b.reduce_min]))
    return function(x, axis=axis, keepdims=graph.draw(st.booleans()))


def softmax(graph: Graph, x: Any) -> Any:
    axis = graph.filled_axis(x)
    if axis is None:
        return None
    if graph.draw(st.booleans()):
        return b.softmax(x, axis=axis)
    e = b.exp(b.sub(x, b.amax(x, axis, keepdims=True)))
    return b.true_divide(e, b.sum(e, axis, keepdims=True))


def norm(graph: Graph, x: Any) -> Any:
    size = static_size(x, -1)
    if size is None or size == 1:
        return None
    # A large epsilon: the derivative stays small where a row is nearly constant.
    spelling = graph.draw(st.sampled_from(["op", "layer", "rms"]))
    if spelling == "op":
        return b.layer_norm(x, axis=-1, epsilon=0.1)
    centred = x if spelling == "rms" else b.sub(x, b.mean(x, -1, keepdims=True))
    square = b.mean(b.mul(centred, centred), -1, keepdims=True)
    scaled = b.true_divide(centred, b.sqrt(b.add(square, 0.1)))
    return b.add(b.mul(scaled, graph.weight(size)), graph.weight(size))


def matmul(graph: Graph, x: Any) -> Any:
    if x.type.rank < 2:
        return None
    return b.mul(b.matmul(x, swapped(graph.alike(x))), 0.1)


def project(graph: Graph, x: Any) -> Any:
    """Products of one tensor with several weights, as of query, key and value."""
    size = static_size(x, -1)
    if size is None or x.type.rank < 2:
        return None
    widths = graph.draw(st.lists(st.integers(1, 9), min_size=1, max_size=3))
    parts = [
        b.add(b.matmul(x, graph.weight(size, each)), graph.weight(each))
        for each in widths
    ]
    return b.concat([b.tanh(parts[0]), *parts[1:]], axis=x.type.rank - 1)


def attend(graph: Graph, x: Any) -> Any:
    """Attention of a matrix to itself, written out."""
    size = static_size(x, -1)
    if size is None or x.type.rank < 2 or not graph.is_filled(x, -2):
        return None
    query, key = (b.matmul(x, graph.weight(size, size)) for _ in "qk")
    scores = b.mul(b.matmul(query, swapped(key)), size**-0.5)
    return b.matmul(b.softmax(scores, axis=-1), x)


def convolve(graph: Graph, x: Any) -> Any:
    """A convolution of padded rows, with a batch norm behind it."""
    channels = static_size(x, 1) if x.type.rank == 3 else None
    if channels is None or not graph.is_filled(x, 2):
        return None
    made = graph.draw(st.integers(1, 4))
    x = b.pad(x, [(0, 0), (0, 0), (1, 1)])
    if graph.draw(st.booleans()):
        stride = graph.draw(st.integers(1, 2))
        y = b.conv(x, graph.weight(made, channels, 3), strides=[stride])
    else:
        y = b.conv_transpose(x, graph.weight(channels, made, 2), strides=[2])
    scale, bias, mean = (graph.weight(made) for _ in "sbm")
    variance = b.add(b.square(graph.weight(made)), 0.5)
    return b.batch_norm(y, scale, bias, mean, variance)


def flatten(graph: Graph, x: Any) -> Any:
    return b.reshape(x, (-1,)) if x.type.rank else x


def transpose(graph: Graph, x: Any) -> Any:
    order = graph.draw(st.permutations(range(x.type.rank)))
    return b.transpose(x, tuple(order))


def unit_axis(graph: Graph, x: Any) -> Any:
    if x.type.rank > 3:
        return None
    return b.expand_dims(x, graph.draw(st.integers(0, x.type.rank)))


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
    return None if axis is None else b.concat([x, graph.alike(x)], axis=axis)


def halves(graph: Graph, x: Any) -> Any:
    """The halves of an axis, the other way around."""
    axis = graph.axis(x)
    size = None if axis is None else static_size(x, axis)
    if size is None or size % 2:
        return None
    first, second = b.split(x, 2, axis)
    return b.concat([second, first], axis=axis)


def pad(graph: Graph, x: Any) -> Any:
    axis = graph.axis(x)
    if axis is None:
        return None
    width = [(0, 0)] * x.type.rank
    width[axis] = (graph.draw(st.integers(0, 2)), graph.draw(st.integers(0, 3)))
    return b.pad(x, width)


STEPS = {
    "attend": attend,
    "binary": binary,
    "convolve": convolve,
    "matmul": matmul,
    "norm": norm,
    "project": project,
    "reduce": reduce,
    "softmax": softmax,
    "unary": unary,
}
MOVES = {
    "concat": concat,
    "flatten": flatten,
    "halves": halves,
    "pad": pad,
    "slice": slice_,
    "transpose": transpose,
    "unit_axis": unit_axis,
}


@st.composite
def programs(
    draw: Any, dtype: str = "float32", dynamic: bool = False, empty: bool = False
) -> Any:
    """A program of 1 to 10 ops on two inputs, and inputs for it.

    Args:
        draw: Hypothesis's.
        dtype: Of inputs and weights.
        dynamic: Whether the first axis is a declared dimension.
        empty: Whether sizes may be 0.
    """
    rank = draw(st.integers(1 if dynamic else 0, 3))
    sizes = st.one_of(st.just(0), SIZES) if empty else SIZES
    shape = [draw(sizes) for _ in range(rank)]
    seed = draw(st.integers(0, 2**32 - 1))
    declared: list[Any] = list(shape)
    if dynamic:
        declared[0] = Dim("n", 0 if empty else 1, 40)
    with Module("random") as module:
        pool = [module.argument(f"x{n}", declared, dtype) for n in range(2)]
        graph = Graph(draw, module, pool, seed, dtype)
        for _ in range(draw(st.integers(1, 10))):
            graph.step()
        count = draw(st.integers(1, min(3, len(pool))))
        program = module.finish(
            [(f"y{n}", value) for n, value in enumerate(pool[-count:])]
        )
    inputs = [graph.random.standard_normal(shape).astype(dtype) for _ in range(2)]
    return program, inputs
