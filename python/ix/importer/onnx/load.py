"""Reads a model: path, bytes or ModelProto → `OnnxModel`, checked, weights mapped."""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto

from ix.errors import ModelImportError
from ix.importer.onnx import sandbox
from ix.importer.onnx.external_data import ExternalFiles
from ix.importer.onnx.tensors import read_tensor
from ix.importer.onnx.validate import opset_versions, validate
from ix.importer.onnx.wire import Span

__all__ = ["OnnxModel", "load_model"]


@dataclass
class OnnxModel:
    """A validated model, and where the bytes of its weights are.

    proto:      the ModelProto; large initializers lack their bytes
    name:       the file's name, or the graph's, for messages
    opsets:     domain → version
    """

    proto: Any
    name: str
    opsets: dict[str, int]
    _external: ExternalFiles
    _spans: dict[str, memoryview] = field(default_factory=dict)

    def inputs(self) -> list[Any]:
        """The graph's inputs, without those that an initializer gives a value."""
        known = {tensor.name for tensor in self.proto.graph.initializer}
        return [each for each in self.proto.graph.input if each.name not in known]

    def initializer(self, tensor: Any) -> np.ndarray[Any, Any]:
        """The elements of one of the graph's initializers, as a view.

        Raises:
            ModelImportError: The bytes are missing or do not fit the shape.
        """
        return self.tensor(tensor, f"initializer {tensor.name!r}", True)

    def tensor(
        self, tensor: Any, what: str, top_level: bool = False
    ) -> np.ndarray[Any, Any]:
        """The elements of a tensor; `top_level` tells an initializer of the graph."""

        def outside(tensor: Any) -> memoryview | None:
            if tensor.data_location == TensorProto.EXTERNAL:
                return self._external.read(tensor, what)
            return self._spans.get(tensor.name) if top_level else None

        return read_tensor(tensor, outside, what)


def load_model(
    source: str | os.PathLike[str] | bytes | bytearray | memoryview | Any,
) -> OnnxModel:
    """Reads and validates an ONNX model.

    A path or bytes are parsed in a child process under limits; a ModelProto was parsed
    by the caller and only validated.

    Raises:
        ModelImportError: The model cannot be read.
    """
    if isinstance(source, ModelProto):
        validate(source)
        name = source.graph.name or "model"
        return OnnxModel(source, name, opset_versions(source), ExternalFiles(None))
    if isinstance(source, bytes | bytearray | memoryview):
        return _load_bytes(memoryview(source).cast("B"))
    if isinstance(source, str | os.PathLike):
        return _load_file(Path(source))
    raise ModelImportError(
        "an ONNX model needs to be a path, bytes or a ModelProto, but it is a "
        f"{type(source).__name__}"
    )


def _load_file(path: Path) -> OnnxModel:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ModelImportError(
            f"the model file {str(path)!r} needs to be readable, but opening it fails "
            f"({reason}); check the path"
        ) from error
    try:
        if not os.path.isfile(path):
            raise ModelImportError(
                f"the model {str(path)!r} needs to be a file, but is a folder or a "
                "device; pass the .onnx file in it"
            )
        compact, spans = sandbox.parse(descriptor, f"the model file {path.name!r}")
        content = memoryview(mmap.mmap(descriptor, 0, prot=mmap.PROT_READ))
    finally:
        os.close(descriptor)
    # The weights lie beside the file itself, not beside a link to it.
    external = ExternalFiles(path.resolve().parent)
    return _assemble(compact, spans, content, path.name, external)


def _load_bytes(content: memoryview) -> OnnxModel:
    descriptor = os.memfd_create("model")
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(content)
        compact, spans = sandbox.parse(descriptor, "the model")
    finally:
        os.close(descriptor)
    return _assemble(compact, spans, content, "model", ExternalFiles(None))


def _assemble(
    compact: bytes,
    spans: list[Span],
    content: memoryview,
    name: str,
    external: ExternalFiles,
) -> OnnxModel:
    """The model of a skeleton that the child has validated."""
    proto = ModelProto.FromString(compact)
    views: dict[str, memoryview] = {}
    for span in spans:
        if span.offset + span.size > len(content):
            raise ModelImportError(f"{name} changed while it was read; load it again")
        tensor = proto.graph.initializer[span.initializer]
        views[tensor.name] = content[span.offset : span.offset + span.size]
    return OnnxModel(proto, name, opset_versions(proto), external, views)
