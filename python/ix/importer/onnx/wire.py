"""The protobuf wire format, as far as it takes to leave the weights in the file.

`skeleton(buffer)` copies an ONNX model without the raw bytes of its large
initializers and says where those lie. A 1 GB model then parses in milliseconds, and
its weights are views of the file's own pages.

Source: protobuf.dev, "Encoding"; field numbers from onnx.proto.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ix.errors import ModelImportError

__all__ = ["INLINE_BYTES", "Span", "skeleton"]

INLINE_BYTES = 1024
"""Raw data up to this size stays in the skeleton."""

_MODEL_GRAPH = 7
_GRAPH_INITIALIZER = 5
_TENSOR_RAW_DATA = 9

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class Span(NamedTuple):
    """Where the raw bytes of one initializer lie.

    initializer:   its position among the graph's initializers
    offset, size:  in bytes, from the start of the model
    """

    initializer: int
    offset: int
    size: int


class _Field(NamedTuple):
    """One field: its number, where its tag starts, and where its value lies."""

    number: int
    wire_type: int
    start: int
    value: int
    end: int


def skeleton(buffer: memoryview) -> tuple[bytes, list[Span]]:
    """Copies a serialised ModelProto without its large initializers.

    Raises:
        ModelImportError: The bytes are not a protobuf message.
    """
    graphs = []
    spans: list[Span] = []
    count = 0
    for field in _fields(buffer, 0, len(buffer)):
        if field.number == _MODEL_GRAPH and field.wire_type == _BYTES:
            body, count = _graph(buffer, field, count, spans)
            graphs.append(_tagged(_MODEL_GRAPH, body))
        else:
            graphs.append(bytes(buffer[field.start : field.end]))
    return b"".join(graphs), spans


def _graph(
    buffer: memoryview, graph: _Field, count: int, spans: list[Span]
) -> tuple[bytes, int]:
    """The graph without large initializers; `count` initializers came before it."""
    parts = []
    for field in _fields(buffer, graph.value, graph.end):
        if field.number == _GRAPH_INITIALIZER and field.wire_type == _BYTES:
            parts.append(_tensor(buffer, field, count, spans))
            count += 1
        else:
            parts.append(bytes(buffer[field.start : field.end]))
    return b"".join(parts), count


def _tensor(buffer: memoryview, tensor: _Field, count: int, spans: list[Span]) -> bytes:
    """The initializer without its raw data where that is large."""
    if tensor.end - tensor.value <= INLINE_BYTES:
        return bytes(buffer[tensor.start : tensor.end])
    parts = []
    for field in _fields(buffer, tensor.value, tensor.end):
        size = field.end - field.value
        if field.number == _TENSOR_RAW_DATA and size > INLINE_BYTES:
            spans.append(Span(count, field.value, size))
        else:
            parts.append(bytes(buffer[field.start : field.end]))
    return _tagged(_GRAPH_INITIALIZER, b"".join(parts))


def _fields(buffer: memoryview, start: int, end: int) -> Iterator[_Field]:
    """The fields of the message in buffer[start:end]."""
    position = start
    while position < end:
        tag, value = _varint(buffer, position, end)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == _VARINT:
            _, stop = _varint(buffer, value, end)
        elif wire_type == _BYTES:
            size, value = _varint(buffer, value, end)
            stop = value + size
        elif wire_type in (_FIXED64, _FIXED32):
            stop = value + (8 if wire_type == _FIXED64 else 4)
        else:
            raise _corrupt(f"wire type {wire_type} at byte {position}")
        if stop > end or number == 0:
            raise _corrupt(
                f"field {number} at byte {position} runs past the end of its message"
            )
        yield _Field(number, wire_type, position, value, stop)
        position = stop


def _varint(buffer: memoryview, position: int, end: int) -> tuple[int, int]:
    """A base-128 number and the position after it."""
    result = 0
    for index in range(10):
        if position + index >= end:
            raise _corrupt(f"the message ends inside a number at byte {position}")
        byte = buffer[position + index]
        result |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return result, position + index + 1
    raise _corrupt(f"a number of more than 10 bytes at byte {position}")


def _tagged(number: int, body: bytes) -> bytes:
    """The message `body` as field `number`."""
    return _encode(number << 3 | _BYTES) + _encode(len(body)) + body


def _encode(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _corrupt(fact: str) -> ModelImportError:
    return ModelImportError(
        f"an ONNX model needs to be a protobuf message, but found {fact}; "
        "the file is damaged or not ONNX: export or copy it again"
    )
