"""What must hold of any ONNX model before one node of it is imported.

The checks are linear in the size of the model and touch no tensor data. What depends
on shapes, such as a chain of self-concatenations that doubles a tensor 60 times, is
checked node by node on import, where the shapes are known.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from onnx import AttributeProto, TensorProto

from ix.errors import ModelImportError, UnsupportedError
from ix.importer.onnx.tensors import element_count

__all__ = ["MAX_DEPTH", "MAX_NODES", "OPSETS", "opset_versions", "validate"]

MAX_DEPTH = 16
"""Nesting of subgraphs in If, Loop and Scan."""

MAX_NODES = 250_000
"""Nodes of the model after its functions and loops are expanded."""

OPSETS = {
    "": (6, 28),
    "ai.onnx.preview": (1, 1),
    "com.microsoft": (1, 1),
}
"""The versions of each domain that ix knows, inclusive."""

# Domains that ix knows of but has no op of: models often import them without use.
_UNUSED = {
    "ai.onnx.ml": (1, 5),
    "ai.onnx.preview.training": (1, 1),
    "ai.onnx.training": (1, 1),
    "com.ms.internal.nhwc": (1, 28),
    "com.microsoft.nchwc": (1, 1),
    "com.microsoft.experimental": (1, 1),
    "org.pytorch.aten": (1, 1),
    "pkg.onnxscript.torch_lib": (1, 1),
    "pkg.onnxscript.torch_lib.common": (1, 1),
}


def validate(model: Any) -> None:
    """Checks versions, names, order, nesting and sizes of a ModelProto.

    Raises:
        ModelImportError: Naming the node or tensor at fault.
    """
    if not model.HasField("graph"):
        raise ModelImportError(
            "an ONNX model needs a graph, but this one has none; "
            "the file is empty, damaged or not ONNX"
        )
    opset_versions(model)
    _check_functions(model)
    checker = _Checker()
    checker.graph(model.graph, frozenset(), 0)
    for function in model.functions:
        checker.function(function)


def opset_versions(model: Any) -> dict[str, int]:
    """Domain → version, as the model imports them ("ai.onnx" is "").

    Raises:
        UnsupportedError: A version that ix does not know.
    """
    versions: dict[str, int] = {}
    local = {function.domain for function in model.functions}
    for opset in model.opset_import:
        _require_text(opset.domain)
        domain = "" if opset.domain == "ai.onnx" else opset.domain
        known = OPSETS.get(domain) or _UNUSED.get(domain)
        if known and not known[0] <= opset.version <= known[1]:
            raise UnsupportedError(
                [
                    f"opset {opset.version} of domain {domain or 'ai.onnx'!r} (ix has "
                    f"{known[0]} to {known[1]})"
                ],
                "convert the model with onnx.version_converter",
            )
        if known or domain in local or domain not in versions:
            versions[domain] = opset.version
    if "" not in versions and not versions:
        raise ModelImportError(
            "an ONNX model needs an opset import, but this one has none; "
            "export it again"
        )
    return versions


def _check_functions(model: Any) -> None:
    """Local functions must not call each other in a circle, nor blow up."""
    functions = {(f.domain, f.name): f for f in model.functions}
    sizes: dict[tuple[str, str], int] = {}

    def size(key: tuple[str, str], callers: tuple[tuple[str, str], ...]) -> int:
        if key in callers or len(callers) > MAX_DEPTH:
            raise ModelImportError(
                f"a local function needs to be free of recursion, but {key[1]!r} "
                f"calls itself or nests deeper than {MAX_DEPTH}; flatten it"
            )
        if key not in sizes:
            sizes[key] = total(functions[key].node, (*callers, key))
        return sizes[key]

    def total(
        nodes: Iterable[Any], callers: tuple[tuple[str, str], ...], depth: int = 0
    ) -> int:
        count = 0
        for node in nodes:
            key = (node.domain, node.op_type)
            count += size(key, callers) if key in functions else 1
            for body in _subgraphs(node):
                if depth < MAX_DEPTH:
                    count += total(body.node, callers, depth + 1)
        if count > MAX_NODES:
            raise ModelImportError(
                f"a model needs at most {MAX_NODES} nodes, but its functions expand "
                f"to more; split it"
            )
        return count

    for key in functions:
        size(key, ())
    total(model.graph.node, ())


class _Checker:
    """Walks graphs; `names` are the values visible from outside."""

    def graph(self, graph: Any, names: frozenset[str], depth: int) -> None:
        if depth > MAX_DEPTH:
            raise ModelImportError(
                f"subgraphs need to nest at most {MAX_DEPTH} deep, but graph "
                f"{graph.name!r} lies deeper; flatten the model"
            )
        _require_text(graph.name, *(each.name for each in graph.initializer))
        _require_text(*(each.name for each in (*graph.input, *graph.output)))
        defined = set(names)
        own: set[str] = set()
        for tensor in graph.initializer:
            what = f"initializer {tensor.name!r}"
            element_count(list(tensor.dims), what)
            _check_stored(tensor, what)
            _define(tensor.name, own, what)
        if graph.sparse_initializer:
            raise ModelImportError(
                f"graph {graph.name!r} needs dense initializers, but holds sparse "
                "ones; convert them with onnx.numpy_helper"
            )
        inputs: set[str] = set()
        for value in graph.input:
            _define(value.name, inputs, f"graph input {value.name!r}")
        _check_types(graph.input)
        own |= inputs
        defined |= own
        self._nodes(graph.node, defined, own, depth)
        for output in graph.output:
            if output.name not in defined:
                raise ModelImportError(
                    f"graph output {output.name!r} needs a node that computes it, but "
                    "there is none; the model is damaged: export it again"
                )

    def function(self, function: Any) -> None:
        """Checks the body of a local function."""
        _require_text(function.name, function.domain)
        _require_text(*function.input, *function.output, *function.attribute)
        defined = set(function.input)
        self._nodes(function.node, defined, set(defined), 0)
        missing = [name for name in function.output if name not in defined]
        if missing:
            raise ModelImportError(
                f"function {function.name!r} needs a node that computes {missing[0]!r}"
                ", but there is none; the model is damaged: export it again"
            )

    def _nodes(
        self, nodes: Iterable[Any], defined: set[str], own: set[str], depth: int
    ) -> None:
        for node in nodes:
            _require_text(node.name, node.op_type, node.domain)
            _require_text(*node.input, *node.output)
            _require_text(*(a.name for a in node.attribute))
            _require_text(*(a.ref_attr_name for a in node.attribute))
            label = node.name or next(iter(node.output), "")
            what = f"node {label!r} ({node.op_type})"
            for name in node.input:
                if name and name not in defined:
                    raise ModelImportError(
                        f"{what} needs value {name!r} to be computed before it, but no "
                        "earlier node, input or initializer has that name; the graph "
                        "has a cycle, is out of order or lacks an initializer"
                    )
            for graph in _subgraphs(node):
                self.graph(graph, frozenset(defined), depth + 1)
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    element_count(list(attribute.t.dims), f"attribute of {what}")
            for name in filter(None, node.output):
                _define(name, own, f"output {name!r} of {what}")
            defined.update(filter(None, node.output))


def _require_text(*names: Any) -> None:
    """Protobuf gives a string that is no UTF-8 as bytes."""
    for name in names:
        if isinstance(name, bytes):
            raise ModelImportError(
                f"an ONNX model needs names in UTF-8, but one is {name[:32]!r}; "
                "the file is damaged: export or copy it again"
            )


def _subgraphs(node: Any) -> Iterable[Any]:
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH or attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _define(name: str, names: set[str], what: str) -> None:
    if not name or name in names:
        raise ModelImportError(
            f"{what} needs a name of its own, but it is {'taken' if name else 'empty'}"
            "; the model is damaged: export it again"
        )
    names.add(name)


def _check_types(values: Iterable[Any]) -> None:
    """Declared sizes must be sane."""
    for value in values:
        if not value.type.HasField("tensor_type"):
            continue
        _require_text(*(dim.dim_param for dim in value.type.tensor_type.shape.dim))
        sizes = [
            dim.dim_value
            for dim in value.type.tensor_type.shape.dim
            if dim.HasField("dim_value")
        ]
        element_count(sizes, f"value {value.name!r}")


def _check_stored(tensor: Any, what: str) -> None:
    """A tensor says where its elements are in one way only."""
    if tensor.HasField("segment"):
        raise ModelImportError(
            f"{what} needs to be whole, but it is one segment of a tensor; "
            "export the model again"
        )
    external = tensor.data_location == TensorProto.EXTERNAL
    if external and not any(e.key == "location" for e in tensor.external_data):
        raise ModelImportError(
            f"{what} needs a location for its external data, but has none; "
            "export the model again"
        )
