"""Imports PyTorch functions, and compares them with eager mode."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from ix.dialects.ix import reference  # noqa: E402
from ix.importer.torch_export import import_exported  # noqa: E402
from ix.runtime.arrays import tensor_of  # noqa: E402

TOLERANCE = {
    torch.float64: 1e-12,
    torch.float32: 1e-5,
    torch.float16: 4e-3,
    torch.bfloat16: 3e-2,
}


class Function(torch.nn.Module):
    """A function as a module, so that it can be exported."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *args: Any) -> Any:
        return self.function(*args)


def leaves(nest: Any) -> list[Any]:
    """The tensors of a result."""
    return [nest] if isinstance(nest, torch.Tensor) else list(nest)


def interpreted(function: Callable[..., Any], args: tuple[Any, ...]) -> list[Any]:
    """The results by the NumPy semantics of the imported ops."""
    program = import_exported(torch.export.export(Function(function), args)).program
    (main,) = program.module.body.operations
    weights = {name: program.weights.array(name) for name in program.weights}
    arrays = [numpy_of(each) for each in args]
    return [
        tensor_of(np.array(each, order="C"))
        for each in reference.evaluate(main, arrays, weights)
    ]


def numpy_of(tensor: Any) -> Any:
    from ix.runtime.arrays import as_numpy

    return as_numpy(tensor, "x")


def assert_equals_eager(
    got: list[Any], function: Callable[..., Any], args: tuple[Any, ...]
) -> None:
    """Compares dtypes and shapes with eager mode, and values with it in float64."""
    eager = leaves(function(*args))
    exact = eager
    if all(each.dtype == torch.float32 for each in args if each.is_floating_point()):
        wide = [each.double() if each.is_floating_point() else each for each in args]
        exact = leaves(function(*wide))
    assert len(got) == len(eager)
    for mine, theirs, best in zip(got, eager, exact, strict=True):
        assert mine.dtype == theirs.dtype
        assert mine.shape == theirs.shape
        if not theirs.is_floating_point():
            assert torch.equal(mine, theirs)
            continue
        finite = best.double()[best.isfinite()].abs()
        scale = finite.max().item() if finite.numel() else 1.0
        tolerance = TOLERANCE[theirs.dtype]
        torch.testing.assert_close(
            mine.double(),
            best.double(),
            rtol=tolerance,
            atol=tolerance * max(scale, 1.0),
            equal_nan=True,
        )


@pytest.fixture
def check() -> Callable[..., None]:
    """check(function, *args): the imported program computes what eager mode does."""

    def run(function: Callable[..., Any], *args: Any) -> None:
        got = interpreted(function, args)
        assert_equals_eager(got, function, args)

    return run


@pytest.fixture
def check_compiled() -> Callable[..., None]:
    """check_compiled(function, *args): the same, for the compiled program."""
    import ix

    def run(function: Callable[..., Any], *args: Any) -> None:
        model = ix.compile(Function(function), args)
        assert_equals_eager(leaves(model(*args)), function, args)

    return run
