"""The ops of ix through the whole compiler: compiled code against NumPy."""

import compiled_runner
import linalg_runner
import numpy as np
import pytest
from lowering_check import FLOATS, INTEGERS, check, numbers
from random_program import RandomProgram

from ix.dialects import ix
from ix.dialects.ix import elementwise
from ix.dialects.ix.shapes import NUMPY_DTYPES


@pytest.fixture(autouse=True)
def compiled(monkeypatch):
    """`check` compiles with ix in place of upstream's passes."""
    monkeypatch.setattr(linalg_runner, "run", compiled_runner.run)


def ops_of(*tables):
    names = [name for table in tables for name in table]
    return [
        getattr(ix, "".join(map(str.capitalize, name.split("_"))) + "Op")
        for name in names
    ]


def values(name, shape=(5, 23), seed=0):
    return numbers(np.random.default_rng(seed), shape, NUMPY_DTYPES[name])


@pytest.mark.parametrize("seed", range(40, 52))
def test_random_program(seed):
    program = RandomProgram(seed)
    check(program.body, program.inputs, dynamic=program.dynamic)


@pytest.mark.parametrize(
    ("name", "dynamic"),
    [("f64", False), ("f32", True), ("f16", False), ("bf16", True), ("f8E5M2", False)],
)
def test_unary_functions_of_floats(name, dynamic):
    ops = ops_of(elementwise.UNARY_FLOAT)
    ulps = {"f64": 16, "f32": 8}.get(name, 1.5)
    check(
        lambda x: [op.build(x) for op in ops],
        [np.abs(values(name))],
        ulps=ulps,
        dynamic=dynamic,
    )


@pytest.mark.parametrize("name", [*FLOATS, *INTEGERS])
def test_exact_functions(name):
    unary = ops_of(elementwise.UNARY_NUMBER, elementwise.UNARY_PREDICATE)
    binary = ops_of(set(elementwise.BINARY_NUMBER) - {"pow"}, elementwise.COMPARISON)

    def body(x, y):
        results = [op.build(x) for op in unary]
        return results + [op.build(x, y) for op in binary]

    check(body, [values(name), values(name, (23,), 1)], dynamic=[1])


@pytest.mark.parametrize("name", INTEGERS)
def test_functions_of_integers(name):
    ops = ops_of(elementwise.BITS, elementwise.SHIFT, ["pow", "div", "mod"])
    check(
        lambda x, y: [op.build(x, y) for op in ops],
        [values(name), values(name, seed=1)],
    )


@pytest.mark.parametrize("name", NUMPY_DTYPES)
def test_casts(name):
    targets = [target for target in NUMPY_DTYPES if target != name]
    check(lambda x: [ix.CastOp.build(x, each) for each in targets], [values(name)])
