"""Bodies of composite ops: functions of the model, and those of the ONNX standard."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from onnx import FunctionProto, NodeProto, TensorProto, TypeProto, defs, helper

from ix.importer import builder as b
from ix.importer.onnx.node import Node
from ix.importer.onnx.scope import Scope
from ix.importer.onnx.tensors import DTYPES

__all__ = ["call", "has_body", "standard_body"]

_ONNX_TYPES = {dtype: number for number, dtype in DTYPES.items()}


def has_body(node: Node) -> bool:
    """Whether the standard defines the node's op by a function."""
    schema = _schema(node)
    return schema is not None and (
        schema.has_function or schema.has_context_dependent_function
    )


def standard_body(node: Node) -> Any | None:
    """The FunctionProto that the standard gives for a node, or None."""
    schema = _schema(node)
    if schema is None:
        return None
    version = schema.since_version
    if schema.has_function:
        data = _versioned(schema.get_function_with_opset_version, node.opset, version)
        if data:
            return FunctionProto.FromString(data)
    if schema.has_context_dependent_function:
        types = [
            _type_of(node.optional(index)) for index in range(len(node.raw_inputs))
        ]
        proto = _resolved(node).SerializeToString()
        data = _versioned(
            lambda v: schema.get_context_dependent_function_with_opset_version(
                v, proto, types
            ),
            node.opset,
            version,
        )
        if data:
            return FunctionProto.FromString(data)
    return None


def _resolved(node: Node) -> Any:
    """The node's proto with the values of attributes that refer to a caller's."""
    proto = NodeProto()
    proto.CopyFrom(node.proto)
    del proto.attribute[:]
    for name, value in node.attributes.items():
        attribute = proto.attribute.add()
        attribute.CopyFrom(value)
        attribute.name = name
        attribute.ClearField("ref_attr_name")
    return proto


def _versioned(
    get: Callable[[int], bytes], opset: int, since_version: int
) -> bytes | None:
    """The body written for the newest opset that is not newer than `opset`."""
    for version in range(opset, since_version - 1, -1):
        data = get(version)
        if data:
            return data
    return None


def _type_of(value: Any) -> bytes:
    """The serialised TypeProto of an input; empty for one left out."""
    if value is None:
        return TypeProto().SerializeToString()
    number = _ONNX_TYPES.get(b.dtype(value), TensorProto.UNDEFINED)
    shape = [size if isinstance(size, int) else None for size in b.shape(value)]
    return helper.make_tensor_type_proto(number, shape).SerializeToString()


def call(run: Callable[[Any, Scope], None], function: Any, node: Node) -> Sequence[Any]:
    """Runs a function's body on a node's inputs and gives the node's outputs.

    Args:
        run: Imports nodes in a scope.
    """
    opsets = node.scope.opsets | {
        "" if each.domain == "ai.onnx" else each.domain: each.version
        for each in function.opset_import
    }
    attributes = {each.name: each for each in function.attribute_proto}
    attributes |= _defaults(node)
    attributes |= node.attributes
    scope = Scope(opsets, attributes)
    for index, name in enumerate(function.input):
        given = index < len(node.raw_inputs)
        scope.define(name, node.raw_inputs[index] if given else None)
    run(function.node, scope)
    return [scope.get(name) for name in function.output][: len(node.outputs)]


def _defaults(node: Node) -> dict[str, Any]:
    """The default attributes that the standard gives an op."""
    schema = _schema(node)
    return (
        {}
        if schema is None
        else {
            name: attribute.default_value
            for name, attribute in schema.attributes.items()
            if attribute.default_value.type
        }
    )


def _schema(node: Node) -> Any | None:
    try:
        return defs.get_schema(node.op_type, node.opset, node.proto.domain)
    except defs.SchemaError:
        return None
