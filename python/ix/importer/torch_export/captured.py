"""A graph that torch.compile captured → a `Program`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx

from ix.dim import Dim
from ix.errors import UnsupportedError
from ix.importer import builder as b
from ix.importer.program import Module, Program
from ix.importer.torch_export.dims import NotASize, Sizes, dim_of
from ix.importer.torch_export.dtypes import numpy_dtype
from ix.importer.torch_export.exported import Result, add_result
from ix.importer.torch_export.graph import GraphImporter
from ix.importer.torch_export.weights import WeightTable

__all__ = ["Captured", "import_graph"]


@dataclass(frozen=True)
class Captured:
    """A program and how it takes the place of the graph.

    Args:
        inputs: For each input of the program its place among the graph's arguments.
        results: For each result of the graph where it comes from.
        limits: (place, axis, maximum) of sizes whose bound was chosen here.
    """

    program: Program
    inputs: list[int]
    results: list[Result]
    limits: list[tuple[int, int, int]]


def import_graph(
    module: fx.GraphModule, args: Sequence[Any], frozen: Collection[int], growth: int
) -> Captured:
    """Imports a functional graph of ATen calls.

    Args:
        module: Its placeholders are tensors and sizes.
        args: The arguments of one call.
        frozen: Places of the tensors that become weights.
        growth: A size without a maximum may be that many times as large as it is.

    Raises:
        UnsupportedError: Lists everything in the graph that ix lacks.
        InputError: A weight is not in CPU memory.
    """
    with Module("graph") as target:
        return _Importer(module, args, frozen, growth, target).run()


class _Importer:
    def __init__(
        self,
        module: fx.GraphModule,
        args: Sequence[Any],
        frozen: Collection[int],
        growth: int,
        target: Module,
    ) -> None:
        self._graph = module.graph
        self._args = args
        self._frozen = frozen
        self._growth = growth
        self._module = target
        self._weights = WeightTable(target)
        self._sizes = Sizes()
        self._inputs: list[int] = []
        self._limits: list[tuple[int, int, int]] = []
        self._dims: dict[str, Dim] = {}

    def run(self) -> Captured:
        nodes = [node for node in self._graph.nodes if node.op == "placeholder"]
        fakes = [node.meta["val"] for node in nodes]
        values = [
            self._tensor(at, node.name, fake)
            if isinstance(fake, torch.Tensor)
            else None
            for at, (node, fake) in enumerate(zip(nodes, fakes, strict=True))
        ]
        for at, (node, fake) in enumerate(zip(nodes, fakes, strict=True)):
            if not isinstance(fake, torch.Tensor):
                values[at] = self._size(node, fake)
        walk = GraphImporter(self._module, self._weights, self._sizes)
        results: list[tuple[str, Any]] = []
        leaves = [
            add_result(results, value, f"output_{at}")
            for at, value in enumerate(walk.run(self._graph, values))
        ]
        program = self._module.finish(results)
        return Captured(program, self._inputs, leaves, self._limits)

    def _tensor(self, at: int, name: str, fake: torch.Tensor) -> Any:
        if at in self._frozen:
            return self._weights.value(self._args[at], name)
        self._inputs.append(at)
        shape = [
            self._dim(at, axis, name, size) for axis, size in enumerate(fake.shape)
        ]
        value = self._module.argument(name, shape, numpy_dtype(fake.dtype))
        for size, known in zip(fake.shape, b.shape(value), strict=True):
            self._sizes.bind(size, known)
        return value

    def _dim(self, at: int, axis: int, name: str, size: Any) -> Any:
        if isinstance(size, int):
            return size
        limit = self._args[at].shape[axis] * self._growth
        dim = dim_of(size, f"{name}_axis{axis}", limit)
        self._limits.append((at, axis, dim.maximum))
        return self._dims.setdefault(dim.name, dim)

    def _size(self, node: fx.Node, fake: Any) -> Any:
        """A number argument: the size of an axis of a tensor argument."""
        if not isinstance(fake, torch.SymInt | int):
            raise UnsupportedError([f"argument {node.name!r} of {type(fake).__name__}"])
        try:
            return self._sizes.size(fake)
        except NotASize:
            raise UnsupportedError(
                [f"argument {node.name!r}, a number that is no tensor's size"]
            ) from None
