"""The graph stage keeps what random programs compute."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from graph_runner import built, transform

from ix.importer import builder as b
from ix.passes.pipeline import STAGES

Make = Callable[[Any, np.random.Generator], Any]

UNARY = (b.tanh, b.relu, b.neg, b.abs, b.sigmoid, b.square)
BINARY = (b.add, b.sub, b.mul, b.max)


def number(random: np.random.Generator, *shape: int) -> Any:
    return np.asarray(random.standard_normal(shape), np.float32)


def unary(x: Any, random: np.random.Generator) -> Any:
    return UNARY[random.integers(len(UNARY))](x)


def with_constant(x: Any, random: np.random.Generator) -> Any:
    """An op with a number, a row, or a tensor that broadcasts along some axes."""
    sizes = list(b.shape(x))
    start = int(random.integers(len(sizes) + 1))
    own = [size if random.random() < 0.6 else 1 for size in sizes[start:]]
    constant = random.choice([0.0, 1.0, 2.0]) if random.random() < 0.3 else None
    operand = number(random, *own) if constant is None else np.float32(constant)
    op = BINARY[random.integers(len(BINARY))]
    return op(x, operand) if random.random() < 0.5 else op(operand, x)


def transposed(x: Any, random: np.random.Generator) -> Any:
    return b.transpose(x, [int(axis) for axis in random.permutation(b.rank(x))])


def reshaped(x: Any, random: np.random.Generator) -> Any:
    """Another shape of up to four axes."""
    rest = math.prod(b.shape(x))
    sizes = []
    while rest > 1 and len(sizes) < 3:
        divisors = [n for n in range(2, rest + 1) if rest % n == 0]
        sizes.append(int(random.choice(divisors)))
        rest //= sizes[-1]
    return b.reshape(x, [*sizes, rest] if rest > 1 or not sizes else sizes)


def projected(x: Any, random: np.random.Generator) -> Any:
    if b.rank(x) < 2:
        return x
    width = int(b.shape(x)[-1])
    parts = [
        b.matmul(x, number(random, width, int(random.integers(2, 5))))
        for _ in range(int(random.integers(1, 3)))
    ]
    return b.concat(parts, axis=b.rank(x) - 1)


def convolved(x: Any, random: np.random.Generator) -> Any:
    if b.rank(x) not in (3, 4):
        return x
    spatial = [1] * (b.rank(x) - 2)
    return b.conv(x, number(random, 3, int(b.shape(x)[1]), *spatial))


def joined(x: Any, random: np.random.Generator) -> Any:
    axis = int(random.integers(b.rank(x)))
    return b.concat([x, unary(x, random)], axis=axis)


def reduced(x: Any, random: np.random.Generator) -> Any:
    axis = int(random.integers(b.rank(x)))
    return b.add(x, b.mean(x, axis, keepdims=True))


def normalised(x: Any, random: np.random.Generator) -> Any:
    e = b.exp(b.tanh(x))
    return b.true_divide(e, b.sum(e, b.rank(x) - 1, keepdims=True))


def sliced(x: Any, random: np.random.Generator) -> Any:
    sizes = [int(size) for size in b.shape(x)]
    starts = [int(random.integers(size)) for size in sizes]
    return b.slice(x, starts, sizes, [1] * len(sizes))


STEPS: tuple[Make, ...] = (
    unary,
    with_constant,
    transposed,
    reshaped,
    projected,
    convolved,
    joined,
    reduced,
    normalised,
    sliced,
)


def program(seed: int) -> Callable[[Any], Any]:
    """A chain of ops, in which an op may read an earlier value of its shape too."""

    def build(x: Any) -> Any:
        random = np.random.default_rng(seed)
        values = [x]
        for _ in range(14):
            value = STEPS[random.integers(len(STEPS))](values[-1], random)
            if math.prod(b.shape(value)) > 4000:
                continue
            same = [each for each in values if b.shape(each) == b.shape(value)]
            if same and random.random() < 0.4:
                value = b.add(value, same[random.integers(len(same))])
            values.append(value)
        return values[-1]

    return build


@pytest.mark.parametrize("seed", range(40))
def test_random_programs_stay_the_same(seed: int) -> None:
    x = np.random.default_rng(seed + 1000).standard_normal((2, 3, 4, 2))
    inputs = [x.astype(np.float32)]
    (stage,) = [each for each in STAGES if each.name == "graph"]
    transform(built(program(seed), *inputs), inputs, stage.passes, 1e-5)
