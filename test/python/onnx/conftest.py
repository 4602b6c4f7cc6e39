"""Builds small ONNX models, and runs them on the reference semantics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper  # noqa: E402

REFERENCE = "ReferenceExecutionProvider"


def build(
    nodes: Sequence[Any],
    inputs: dict[str, Any],
    outputs: Sequence[str],
    *,
    constants: dict[str, Any] | None = None,
    opset: int = 21,
    functions: Sequence[Any] = (),
    domains: dict[str, int] | None = None,
) -> Any:
    """A ModelProto; inputs are name → shape, or (shape, element type)."""
    typed = {
        name: spec if isinstance(spec, tuple) else (spec, TensorProto.FLOAT)
        for name, spec in inputs.items()
    }
    graph = helper.make_graph(
        list(nodes),
        "test",
        [
            helper.make_tensor_value_info(name, element, shape)
            for name, (shape, element) in typed.items()
        ],
        [helper.make_value_info(name, onnx.TypeProto()) for name in outputs],
        [
            onnx.numpy_helper.from_array(np.asarray(array), name)
            for name, array in (constants or {}).items()
        ],
    )
    imports = [helper.make_opsetid("", opset)]
    imports += [helper.make_opsetid(*each) for each in (domains or {}).items()]
    return helper.make_model(
        graph, opset_imports=imports, functions=list(functions), ir_version=10
    )


def evaluate(model: Any, feed: dict[str, Any], **options: Any) -> list[Any]:
    """The outputs by the NumPy interpreter of ix modules."""
    from ix.session import InferenceSession

    session = InferenceSession(model, providers=[REFERENCE], **options)
    return session.run(None, feed)


@pytest.fixture
def model_of() -> Callable[..., Any]:
    """`build`, for tests: helper functions cannot be imported between test files."""
    return build


@pytest.fixture
def run() -> Callable[..., list[Any]]:
    """`evaluate`, for tests."""
    return evaluate


@pytest.fixture
def relu(model_of: Any) -> Any:
    return model_of([helper.make_node("Relu", ["x"], ["y"])], {"x": [2, 3]}, ["y"])


@pytest.fixture
def weighted(model_of: Any) -> Any:
    """A model with one large initializer `w`."""
    weight = np.arange(64 * 64, dtype=np.float32).reshape(64, 64)
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    return model_of([node], {"x": [1, 64]}, ["y"], constants={"w": weight})
