"""Walks the graph: each node through a fold, a handler or a function body.

What is unsupported does not stop the walk: its outputs are UNKNOWN, nodes that read
them are skipped, and at the end one error lists everything.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from ix.errors import InputError, ModelImportError, UnsupportedError
from ix.importer import builder as b
from ix.importer.dims import DimExpr
from ix.importer.onnx.constants import constant_arguments, evaluate
from ix.importer.onnx.fold import fold
from ix.importer.onnx.functions import call, has_body, standard_body
from ix.importer.onnx.load import OnnxModel
from ix.importer.onnx.node import (
    NeedsValue,
    Node,
    Parameter,
    Unsupported,
    ValuesNeeded,
    materialized,
)
from ix.importer.onnx.ops import HANDLERS
from ix.importer.onnx.scope import UNKNOWN, Scope
from ix.importer.onnx.tensors import DTYPES, MAX_ELEMENTS, type_name
from ix.importer.onnx.validate import MAX_NODES
from ix.importer.program import CONSTANT_BYTES, Module
from ix.mlir import ir

__all__ = ["GraphImporter"]


class GraphImporter:
    """Imports the graph of one model into an open module.

    issues:   sentences about what is unsupported
    faults:   sentences about what is wrong with the model
    wanted:   names of arguments whose elements some node must know on import
    """

    def __init__(self, model: OnnxModel, module: Module) -> None:
        self.model = model
        self.module = module
        self.issues: list[str] = []
        self.faults: list[str] = []
        self.wanted: set[str] = set()
        self._count = 0
        self._open = 0  # how many issues the elements of an argument would settle
        self._functions = {(f.domain, f.name): f for f in model.proto.functions}

    def run(self, arguments: Mapping[str, Any]) -> list[tuple[str, Any]]:
        """Imports the main graph and gives its outputs as Values.

        Raises:
            UnsupportedError: Lists all that ix lacks.
            ModelImportError: Lists all that is wrong with the model.
        """
        scope = Scope(self.model.opsets)
        for name, value in arguments.items():
            scope.define(name, value)
        graph = self.model.proto.graph
        self._initializers(graph, scope, top_level=True)
        self.nodes(graph.node, scope)
        results = [(each.name, scope.get(each.name)) for each in graph.output]
        if not self.issues and not self.faults:
            results = [(name, self._result(name, value)) for name, value in results]
        if self.faults:
            raise ModelImportError("; ".join(self.faults))
        if self.wanted and self._open == len(self.issues):
            raise ValuesNeeded(self.issues, frozenset(self.wanted))
        if self.issues:
            raise UnsupportedError(self.issues)
        return results

    @contextmanager
    def attempt(self) -> Iterator[list[str]]:
        """Imports something that may fail: gives its issues and then forgets them."""
        kept = (self.issues, self.faults, self.wanted, self._open)
        self.issues, self.faults, self.wanted = [], [], set()
        try:
            yield self.issues
        finally:
            self.issues, self.faults, self.wanted, self._open = kept

    def nodes(self, nodes: Iterable[Any], scope: Scope) -> None:
        """Imports nodes in order."""
        for proto in nodes:
            outputs = self._node(proto, scope)
            for index, name in enumerate(proto.output):
                value = outputs[index] if index < len(outputs) else None
                scope.define(name, UNKNOWN if value is None else value)

    def subgraph(self, graph: Any, scope: Scope, arguments: Sequence[Any]) -> list[Any]:
        """Imports the body of an If, Loop or Scan and gives its outputs."""
        inner = scope.inner()
        for formal, value in zip(graph.input, arguments, strict=True):
            inner.define(formal.name, value)
        self._initializers(graph, inner)
        self.nodes(graph.node, inner)
        return [inner.get(each.name) for each in graph.output]

    def fold(self, value: Any) -> Any:
        """The elements of a value that depends on constants alone, or the value."""
        return value if isinstance(value, np.ndarray) else evaluate(value, self.module)

    def _initializers(self, graph: Any, scope: Scope, top_level: bool = False) -> None:
        for tensor in graph.initializer:
            what = f"initializer {tensor.name!r}"
            if tensor.data_type not in DTYPES:
                kind = type_name(tensor.data_type)
                self.issues.append(f"{what} has element type {kind}")
                scope.define(tensor.name, UNKNOWN)
                continue
            array = self.model.tensor(tensor, what, top_level)
            large = top_level and array.nbytes > CONSTANT_BYTES
            scope.define(tensor.name, Parameter(array, tensor.name) if large else array)

    def _node(self, proto: Any, scope: Scope) -> Sequence[Any]:
        """The outputs of one node; none where it is unsupported."""
        self._count += 1
        if self._count > MAX_NODES:
            raise UnsupportedError(
                [f"more than {MAX_NODES} nodes after loops and functions are expanded"]
            )
        where = f"{proto.op_type} node {_name(proto)!r}"
        domain = "" if proto.domain == "ai.onnx" else proto.domain
        version = scope.opsets.get(domain)
        where += f" ({domain or 'ai.onnx'} {version or 'without an opset import'})"
        inputs = [scope.get(name) for name in proto.input]
        node = Node(proto, version or 0, inputs, _attributes(proto, scope), self, scope)
        try:
            if version is None and (domain, proto.op_type) not in self._functions:
                raise Unsupported("is in a domain that the model does not import")
            if any(value is UNKNOWN for value in inputs):
                self._check_known(node, domain)
                return []
            with self.module.location(f"{_name(proto)}/{proto.op_type}"):
                return self._checked(self._dispatch(node, domain))
        except NeedsValue as error:
            arguments = constant_arguments(error.value, self.module)
            self.wanted |= arguments
            self._open += bool(arguments)
            self.issues.append(f"{where} {error}")
        except Unsupported as error:
            self.issues.append(f"{where} {error}")
        except InputError as error:
            self.issues.append(f"{where}: {error}")
        except UnsupportedError as error:
            self.issues += error.items
        except ModelImportError as error:
            self.faults.append(f"{where} {error}")
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            # Attributes and inputs that contradict each other end up here.
            self.faults.append(
                f"{where} needs attributes and inputs that fit together, but: "
                f"{type(error).__name__}: {error}; export the model again"
            )
        return []

    def _dispatch(self, node: Node, domain: str) -> Sequence[Any]:
        """The outputs of a node: by the model's function, a fold, a handler, a body."""
        key = (domain, node.op_type)
        if key in self._functions:
            return call(self.nodes, self._functions[key], node)
        folded = fold(node)
        if folded is not None:
            return folded
        result = HANDLERS[key](node) if key in HANDLERS else NotImplemented
        if result is not NotImplemented:
            return list(result) if isinstance(result, list | tuple) else [result]
        body = standard_body(node)
        if body is None and has_body(node):
            raise Unsupported(
                "has no function body for inputs of these types and sizes"
            )
        if body is None:
            raise Unsupported("is an op that ix does not have")
        return call(self.nodes, body, node)

    def _check_known(self, node: Node, domain: str) -> None:
        """Complains of an op that ix has in no form, though its inputs are unknown."""
        key = (domain, node.op_type)
        if key not in self._functions and key not in HANDLERS and not has_body(node):
            raise Unsupported("is an op that ix does not have")
        if not self.issues and not self.faults:
            raise Unsupported("reads an output that ix does not compute")

    def _checked(self, outputs: Sequence[Any]) -> Sequence[Any]:
        """The outputs: of at most 2^40 elements, and constants where they have none."""
        checked: list[Any] = []
        for value in outputs:
            if not isinstance(value, ir.Value):
                checked.append(value)
                continue
            shape = b.shape(value)
            known = [size for size in shape if not isinstance(size, DimExpr)]
            if math.prod(known) > MAX_ELEMENTS:
                raise ModelImportError(
                    "needs an output of at most 2^40 elements, but its shape is "
                    f"{shape}; the model is damaged or not meant for one machine"
                )
            empty = 0 in known and len(known) == len(shape)
            checked.append(np.zeros(shape, b.dtype(value)) if empty else value)
        return checked

    def _result(self, name: str, value: Any) -> Any:
        """An output of the model as a Value."""
        if value is UNKNOWN:
            self.issues.append(f"output {name!r} is one that ix does not compute")
            return None
        try:
            return b.as_value(materialized(value, self.module))
        except InputError as error:
            self.issues.append(f"output {name!r}: {error}")
            return None


def _name(proto: Any) -> str:
    """What to call a node: its name, else its first output."""
    return str(proto.name or next(iter(proto.output), ""))


def _attributes(proto: Any, scope: Scope) -> dict[str, Any]:
    """Name → attribute; a reference to the caller's attribute is followed."""
    result = {}
    for attribute in proto.attribute:
        if not attribute.ref_attr_name:
            result[attribute.name] = attribute
        elif attribute.ref_attr_name in scope.attributes:
            result[attribute.name] = scope.attributes[attribute.ref_attr_name]
    return result
