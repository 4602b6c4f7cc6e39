"""An ExportedProgram → a `Program`, and how its inputs and outputs nest."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import fx
from torch.export.graph_signature import (
    ConstantArgument,
    InputKind,
    InputSpec,
    OutputKind,
)

from ix.errors import ModelImportError, UnsupportedError
from ix.importer import builder as b
from ix.importer.dims import DimExpr
from ix.importer.program import Module, Program
from ix.importer.torch_export.decompose import decomposed
from ix.importer.torch_export.dims import Sizes, dim_of
from ix.importer.torch_export.dtypes import numpy_dtype
from ix.importer.torch_export.graph import GraphImporter
from ix.importer.torch_export.weights import WeightTable
from ix.mlir import ir

__all__ = ["Exported", "Result", "add_result", "import_exported"]


@dataclass(frozen=True)
class Result:
    """One leaf of what the model returns.

    Args:
        output: Its place among the program's outputs; None: it is the constant.
        constant: A number, string or None that does not depend on the inputs.
        is_size: Whether it is a Python int: a size, computed by the program.
    """

    output: int | None
    constant: Any = None
    is_size: bool = False


@dataclass
class Exported:
    """A program and the calling convention of the model that it came from.

    Args:
        program: Its inputs are the tensors among the user's, then the state.
        in_spec, out_spec: torch's pytrees of (args, kwargs), and of the result.
        inputs: For each leaf of the arguments its input's name, or None: a constant.
        constants: Leaf of the arguments → the value that the program is made for.
        results: For each leaf of the result where it comes from.
        state: Buffer name → (its first value, place of the input, of the output).
        updates: Leaf of the arguments that the model writes to → place of the output.
    """

    program: Program
    in_spec: Any
    out_spec: Any
    inputs: list[str | None] = field(default_factory=list)
    constants: dict[int, Any] = field(default_factory=dict)
    results: list[Result] = field(default_factory=list)
    state: dict[str, tuple[torch.Tensor, int, int]] = field(default_factory=dict)
    updates: dict[int, int] = field(default_factory=dict)


def import_exported(
    exported: torch.export.ExportedProgram, name: str = "main"
) -> Exported:
    """Imports an exported program; its weights are shared, never copied.

    A buffer that the model writes to becomes an input and an output: the state that
    a caller carries from call to call.

    Raises:
        UnsupportedError: Lists everything in the graph that ix lacks.
        InputError: A dimension has no upper bound, or a weight is not in CPU memory.
    """
    functional = decomposed(exported)
    with Module(re.sub(r"\W", "_", name) or "main") as module:
        return _Importer(functional, module).run()


class _Importer:
    def __init__(self, exported: torch.export.ExportedProgram, module: Module) -> None:
        self._exported = exported
        self._signature = exported.graph_signature
        self._module = module
        self._weights = WeightTable(module)
        self._sizes = Sizes()
        self._mutated = set(self._signature.buffers_to_mutate.values())
        self._state: dict[str, tuple[torch.Tensor, int]] = {}
        self._leaves: list[str | None] = []
        self._constants: dict[int, Any] = {}
        self._results: list[tuple[str, Any]] = []

    def run(self) -> Exported:
        nodes = [n for n in self._exported.graph.nodes if n.op == "placeholder"]
        specs = self._signature.input_specs
        values: dict[fx.Node, Any] = {}
        user = InputKind.USER_INPUT
        pairs = list(zip(nodes, specs, strict=True))
        # The user's tensors first: they give the symbols their values.
        for node, spec in sorted(pairs, key=lambda pair: pair[1].kind != user):
            values[node] = self._input(node, spec)
        walk = GraphImporter(self._module, self._weights, self._sizes)
        outputs = walk.run(self._exported.graph, [values[node] for node in nodes])
        return self._finished(outputs)

    def _input(self, node: fx.Node, spec: InputSpec) -> Any:
        if spec.kind == InputKind.USER_INPUT:
            return self._user_input(node, spec)
        if spec.kind in (InputKind.PARAMETER, InputKind.BUFFER):
            tensor = self._tensor(str(spec.target))
            if spec.target in self._mutated:
                return self._state_input(str(spec.target), tensor)
            return self._weights.value(tensor, str(spec.target))
        if spec.kind == InputKind.CONSTANT_TENSOR:
            tensor = self._exported.constants[str(spec.target)]
            return self._weights.value(tensor, str(spec.target))
        raise UnsupportedError([f"input {node.name!r} of kind {spec.kind.name}"])

    def _tensor(self, name: str) -> torch.Tensor:
        """A parameter or buffer; non-persistent buffers stand among the constants."""
        found = self._exported.state_dict.get(name)
        found = self._exported.constants.get(name) if found is None else found
        if found is None:
            raise ModelImportError(f"the exported program lacks the tensor '{name}'")
        return found

    def _user_input(self, node: fx.Node, spec: InputSpec) -> Any:
        if isinstance(spec.arg, ConstantArgument):
            self._constants[len(self._leaves)] = spec.arg.value
            self._leaves.append(None)
            return spec.arg.value
        fake = node.meta["val"]
        if not isinstance(fake, torch.Tensor):
            raise UnsupportedError(
                [f"input {node.name!r}, a number that changes from call to call"],
                "Pass it as a tensor of rank 0.",
            )
        self._leaves.append(node.name)
        return self._argument(node.name, fake)

    def _argument(self, name: str, fake: torch.Tensor) -> Any:
        ranges = self._exported.range_constraints
        shape = [
            size
            if isinstance(size, int)
            else dim_of(size, f"{name}_axis{axis}", None, ranges)
            for axis, size in enumerate(fake.shape)
        ]
        with self._module.location(name):
            value = self._module.argument(name, shape, numpy_dtype(fake.dtype))
        for size, known in zip(fake.shape, b.shape(value), strict=True):
            self._sizes.bind(size, known)
        return value

    def _state_input(self, name: str, tensor: torch.Tensor) -> Any:
        self._state[name] = (tensor, len(self._module.input_names))
        return self._argument(name, tensor)

    def _finished(self, outputs: Sequence[Any]) -> Exported:
        results: list[Result] = []
        state: dict[str, tuple[torch.Tensor, int, int]] = {}
        updates: dict[int, int] = {}
        for value, spec in zip(outputs, self._signature.output_specs, strict=True):
            if spec.kind == OutputKind.USER_OUTPUT:
                name = f"output_{len(results)}"
                results.append(add_result(self._results, value, name))
                continue
            target = str(spec.target)
            place = self._add_result(f"updated_{target}", value)
            if spec.kind == OutputKind.BUFFER_MUTATION:
                tensor, at = self._state[target]
                state[target] = (tensor, at, place)
            else:
                updates[self._leaves.index(target)] = place
        return Exported(
            self._module.finish(self._results),
            self._exported.call_spec.in_spec,
            self._exported.call_spec.out_spec,
            self._leaves,
            self._constants,
            results,
            state,
            updates,
        )

    def _add_result(self, name: str, value: Any) -> int:
        self._results.append((name, value))
        return len(self._results) - 1


def add_result(results: list[tuple[str, Any]], value: Any, name: str) -> Result:
    """A leaf of the model's result, whose tensor joins the program's results.

    Args:
        results: Names and Values so far; grows.
        value: A Value, a size, or a constant.
        name: What to call it.
    """
    is_size = isinstance(value, DimExpr)
    if not is_size and not isinstance(value, ir.Value):
        return Result(None, value)
    results.append((name, b.size_value(value) if is_size else value))
    return Result(len(results) - 1, is_size=is_size)
