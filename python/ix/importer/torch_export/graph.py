"""Walks an FX graph of ATen calls and builds the ops of ix."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import fx

from ix.errors import InputError, UnsupportedError
from ix.importer import builder as b
from ix.importer.builder.values import emit, index_list
from ix.importer.program import Module
from ix.importer.torch_export.call import Call, NotSupported
from ix.importer.torch_export.decompose import functional_name
from ix.importer.torch_export.dims import NotASize, Sizes
from ix.importer.torch_export.dtypes import numpy_dtype
from ix.importer.torch_export.locations import Place, op_name, place_of_node
from ix.importer.torch_export.ops import HANDLERS, IGNORED
from ix.importer.torch_export.weights import WeightTable

__all__ = ["GraphImporter"]

_PLACEMENT = frozenset(
    {"layout", "device", "pin_memory", "memory_format", "non_blocking", "copy"}
)
"""Arguments that say where and how a tensor is stored, never what it holds."""


class _Failed:
    """The value of a node that could not be built; what reads it fails silently."""


_FAILED = _Failed()


class GraphImporter:
    """Builds a graph's calls in an open module.

    Args:
        module: The module that is being built.
        weights: Takes the tensors that the graph reads as attributes.
        sizes: The symbols of the graph's placeholders.
    """

    def __init__(self, module: Module, weights: WeightTable, sizes: Sizes) -> None:
        self._module = module
        self._weights = weights
        self._sizes = sizes
        self._values: dict[fx.Node, Any] = {}
        self._issues: dict[tuple[str, str], list[Place]] = {}

    def run(self, graph: fx.Graph, inputs: Sequence[Any]) -> list[Any]:
        """The results of a graph: Values, sizes, and None, in the output's order.

        Args:
            inputs: A Value, size or constant for each placeholder.

        Raises:
            UnsupportedError: Lists everything in the graph that ix lacks.
        """
        outputs = self._walk(graph, inputs)
        self.raise_issues()
        return outputs

    def raise_issues(self) -> None:
        """Raises UnsupportedError if anything could not be built."""
        if self._issues:
            items = [_issue(*each) for each in self._issues.items()]
            raise UnsupportedError(items)

    def _walk(self, graph: fx.Graph, inputs: Sequence[Any]) -> list[Any]:
        given = iter(inputs)
        for node in graph.nodes:
            if node.op == "placeholder":
                self._values[node] = next(given)
            elif node.op == "get_attr":
                self._values[node] = self._attribute(graph, node)
            elif node.op == "call_function":
                self._values[node] = self._call(node)
            elif node.op == "output":
                return list(self._arguments(node.args[0]))
        return []

    def _attribute(self, graph: fx.Graph, node: fx.Node) -> Any:
        value = operator.attrgetter(str(node.target))(graph.owning_module)
        if isinstance(value, torch.Tensor):
            return self._weights.value(value, str(node.target))
        return value

    def _call(self, node: fx.Node) -> Any:
        """The node's value, or `_FAILED` with the reason noted."""
        place = place_of_node(node)
        with self._module.location(place.name, place.file, place.line):
            try:
                return self._value(node)
            except (NotSupported, NotASize, InputError) as error:
                self._issues.setdefault((_spelled(node), str(error)), []).append(place)
                return _FAILED

    def _value(self, node: fx.Node) -> Any:
        target = node.target
        if str(target) in IGNORED or ("val" not in node.meta and not node.users):
            return None
        args = self._arguments(node.args)
        kwargs = self._arguments(
            {k: v for k, v in node.kwargs.items() if k not in _PLACEMENT}
        )
        if _has_failed(args) or _has_failed(kwargs):
            return _FAILED
        if isinstance(node.meta.get("val"), torch.SymInt | int | torch.SymBool):
            return self._number(node)
        if isinstance(node.meta.get("val"), torch.SymFloat | float):
            return _float_of_sizes(node, args)
        if target is operator.getitem:
            return self._element(node, *args)
        if isinstance(target, torch._ops.HigherOrderOperator):
            return self._inlined(node, args)
        handler = HANDLERS.get(functional_name(target))
        if handler is None:
            raise NotSupported("no such op in ix")
        if _writes_to_input(node):
            raise NotSupported("a write to an input")
        result = handler(Call(node, self._sizes), *args, **kwargs)
        return self._settled(result, node.meta["val"])

    def _number(self, node: fx.Node) -> Any:
        """A size, from what torch's shape analysis says of it; a guard is None."""
        value = node.meta["val"]
        if isinstance(value, torch.SymBool | bool):
            return None
        return self._sizes.size(value)

    def _element(self, node: fx.Node, source: Any, index: int) -> Any:
        value = source[index]
        if value is None and node.users:
            raise NotSupported(f"result {index} of '{op_name(node.args[0])}'")
        return value

    def _inlined(self, node: fx.Node, args: Sequence[Any]) -> Any:
        """Regions that only set modes of autograd or autocast."""
        skip = _REGIONS.get(node.target.__name__)
        if skip is None:
            raise NotSupported("control flow and higher-order ops")
        inner = args[skip]
        return self._walk(inner.graph, args[skip + 1 :])

    def _settled(self, result: Any, fake: Any) -> Any:
        """Results with the dtypes and sizes that torch knows."""
        if isinstance(fake, tuple | list):
            return tuple(
                None if each is None else self._settled(each, known)
                for each, known in zip(result, fake, strict=True)
            )
        value = b.cast(b.as_value(result), numpy_dtype(fake.dtype))
        sizes = self._sizes.shape(fake.shape)
        if b.rank(value) != len(sizes):
            raise AssertionError(f"a result of rank {b.rank(value)}, expected {sizes}")
        if value.type.has_static_shape:
            return value
        if any(_is_news(value, axis, size) for axis, size in enumerate(sizes)):
            return emit("reshape", value, shape=index_list(sizes), like=sizes)
        self._module.set_shape(value, sizes)
        return value

    def _arguments(self, nest: Any) -> Any:
        """Arguments with the values of nodes in place of the nodes."""
        if isinstance(nest, fx.Node):
            return self._values[nest]
        if isinstance(nest, tuple | list):
            return [self._arguments(each) for each in nest]
        if isinstance(nest, Mapping):
            return {key: self._arguments(each) for key, each in nest.items()}
        return nest


def _float_of_sizes(node: fx.Node, args: Sequence[Any]) -> Any:
    """A Python float computed from sizes (1 / √n), as a tensor of rank 0."""
    function = _FLOAT_FUNCTIONS.get(op_name(node))
    if function is None:
        raise NotSupported("no such function of sizes in ix")
    return function(*(b.cast(b.as_value(each), np.float64) for each in args))


_FLOAT_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "sym_float": lambda x: x,
    "truediv": b.true_divide,
    "pow": b.pow,
    "mul": b.mul,
    "add": b.add,
    "sub": b.sub,
    "neg": b.neg,
    "sqrt": b.sqrt,
    "_sym_sqrt": b.sqrt,
    "sym_sqrt": b.sqrt,
}

_REGIONS = {"wrap_with_set_grad_enabled": 1, "wrap_with_autocast": 4}
"""Higher-order ops → the place of their body among the arguments."""


def _writes_to_input(node: fx.Node) -> bool:
    """Whether an op in place changes memory that is not the graph's own."""
    return node.target._schema.is_mutable and node.args[0].op != "call_function"


def _is_news(value: Any, axis: int, size: Any) -> bool:
    """Whether torch knows a static size that the tensor's type does not have."""
    return isinstance(size, int) and value.type.is_dynamic_dim(axis)


def _has_failed(nest: Any) -> bool:
    if isinstance(nest, list):
        return any(_has_failed(each) for each in nest)
    if isinstance(nest, dict):
        return any(_has_failed(each) for each in nest.values())
    return nest is _FAILED


def _spelled(node: fx.Node) -> str:
    """`aten.gelu.default`, or the name of what is no ATen op."""
    if isinstance(node.target, torch._ops.OpOverload):
        return str(node.target)
    return op_name(node)


def _issue(key: tuple[str, str], places: Sequence[Place]) -> str:
    op, reason = key
    more = f" and {len(places) - 1} more" if len(places) > 1 else ""
    return f"{op} at {places[0]}{more}: {reason}"
