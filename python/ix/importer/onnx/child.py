"""The child process that parses a model from outside, under limits.

    python -m ix.importer.onnx.child <descriptor of the model> <address space, bytes>
        <processor time, seconds>

Writes one JSON line, {"spans": [...]} or {"error": "..."}, and then the skeleton. It
opens no other file, writes none and starts no thread.
"""

from __future__ import annotations

import json
import mmap
import os
import resource
import sys

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import ModelProto

from ix.errors import ModelImportError, UnsupportedError
from ix.importer.onnx.validate import validate
from ix.importer.onnx.wire import skeleton


def main(descriptor: int, address_bytes: int, seconds: int) -> None:
    """Validates the model behind `descriptor` and reports on standard output."""
    for limit, value in (
        (resource.RLIMIT_AS, address_bytes),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (value, value))
    out = sys.stdout.buffer
    try:
        compact, spans = _read(descriptor)
    except UnsupportedError as error:
        report = {"unsupported": error.items, "remedy": error.remedy}
        out.write(json.dumps(report).encode() + b"\n")
        return
    except ModelImportError as error:
        out.write(json.dumps({"error": str(error)}).encode() + b"\n")
        return
    out.write(json.dumps({"spans": spans}).encode() + b"\n")
    out.write(compact)


def _read(descriptor: int) -> tuple[bytes, list[tuple[int, int, int]]]:
    """The validated skeleton of the model and the spans it leaves out."""
    size = os.fstat(descriptor).st_size
    if size == 0:
        raise ModelImportError(
            "an ONNX model needs a graph, but this file has 0 bytes; copy it again"
        )
    buffer = memoryview(mmap.mmap(descriptor, size, prot=mmap.PROT_READ))
    compact, spans = skeleton(buffer)
    model = ModelProto()
    try:
        model.ParseFromString(compact)
    except DecodeError as error:
        raise ModelImportError(
            f"an ONNX model needs to be a protobuf message, but decoding fails "
            f"({error}); the file is damaged, not ONNX or nested too deep"
        ) from error
    validate(model)
    return compact, [tuple(span) for span in spans]


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
