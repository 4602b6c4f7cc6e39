"""One call of an ATen op, as its handler sees it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import fx

from ix.importer import builder as b
from ix.importer import promotion
from ix.importer.torch_export.dims import Sizes
from ix.importer.torch_export.dtypes import numpy_dtype

__all__ = ["Call", "Handler", "NotSupported"]


class NotSupported(Exception):
    """A form of an op that ix lacks; the text completes "… is not supported: "."""


class Call:
    """What torch knows about a node: dtypes, shapes, and the types of its arguments.

    A handler gets the call, then the op's arguments under the schema's names; tensors
    are Values, sizes ints or `DimExpr`s. What it returns is cast to the dtype that
    torch found, so that it only has to compute in the right one.
    """

    def __init__(self, node: fx.Node, sizes: Sizes) -> None:
        self.node = node
        self._sizes = sizes

    @property
    def results(self) -> Sequence[Any]:
        """What torch knows of each result: fake tensors."""
        value = self.node.meta.get("val")
        return value if isinstance(value, tuple | list) else (value,)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the (first) result."""
        return numpy_dtype(self.results[0].dtype)

    @property
    def shape(self) -> tuple[Any, ...]:
        """The sizes of the (first) result."""
        return self.shape_of(0)

    def shape_of(self, index: int) -> tuple[Any, ...]:
        """The sizes of a result."""
        return self._sizes.shape(self.results[index].shape)

    def fake(self, argument: int | str) -> Any:
        """What torch knows of an argument, by place or name."""
        if isinstance(argument, str):
            each = self.node.kwargs.get(argument)
        else:
            each = self.node.args[argument] if argument < len(self.node.args) else None
        return each.meta["val"] if isinstance(each, fx.Node) else each

    def is_used(self, index: int) -> bool:
        """Whether anything reads a result of several."""
        return any(
            user.args[1] == index
            for user in self.node.users
            if len(user.args) > 1 and user.args[0] is self.node
        )

    def to(self, x: Any) -> Any:
        """An operand as a Value of the result's dtype."""
        return converted(x, self.dtype)

    def common(self, *operands: Any) -> list[Any]:
        """Operands in the dtype where torch compares them.

        Categories decide (bool < integer < float): a scalar, or a tensor of rank 0,
        changes the dtype only where it is of a higher category than the tensors.
        """
        fakes = [
            each.meta["val"] if isinstance(each, fx.Node) else each
            for each in self.node.args[: len(operands)]
        ]
        target = numpy_dtype(_result_type(fakes))
        return [converted(each, target) for each in operands]


def converted(x: Any, dtype: np.dtype[Any]) -> Any:
    """An operand as a Value of a dtype; numbers out of its range become infinite."""
    if type(x) in (bool, int, float):
        return b.as_value(_number(x, dtype))
    return b.as_value(x, dtype)


def _number(x: float, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """A Python number as torch stores it: floats truncate, integers wrap."""
    if promotion.is_float(dtype):
        with np.errstate(over="ignore"):
            return np.asarray(x, np.float64).astype(dtype)
    if dtype == promotion.BOOL:
        return np.asarray(bool(x))
    whole = math.trunc(x) if math.isfinite(x) else 0
    return np.asarray(whole).astype(dtype)


def _result_type(operands: Sequence[Any]) -> torch.dtype:
    from torch._prims_common import ELEMENTWISE_TYPE_PROMOTION_KIND as KIND
    from torch._prims_common import elementwise_dtypes

    kind = KIND.DEFAULT
    _, result = elementwise_dtypes(*operands, type_promotion_kind=kind)
    return result


Handler = Callable[..., Any]
"""handler(call, *arguments, **keyword_arguments) → a Value, or a tuple of them."""
