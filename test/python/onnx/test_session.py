"""`ix.InferenceSession` answers as ONNX Runtime's does."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper  # noqa: E402

import ix  # noqa: E402
from ix.errors import InputError, RuntimeFailure  # noqa: E402
from ix.session import (  # noqa: E402
    GraphOptimizationLevel,
    InferenceSession,
    OrtValue,
    RunOptions,
    SessionOptions,
    get_available_providers,
)

pytestmark = pytest.mark.onnx

RNG = np.random.default_rng(3)


@pytest.fixture
def mlp(model_of: Any) -> Any:
    """relu(x · w + b) of x[batch, 8], and its sum over features."""
    nodes = [
        helper.make_node("Gemm", ["x", "w", "b"], ["h"]),
        helper.make_node("Relu", ["h"], ["y"]),
        helper.make_node("ReduceSum", ["y", "axes"], ["total"], keepdims=0),
    ]
    constants = {
        "w": RNG.normal(size=(8, 16)).astype(np.float32),
        "b": RNG.normal(size=(16,)).astype(np.float32),
        "axes": np.array([1]),
    }
    return model_of(nodes, {"x": ["batch", 8]}, ["y", "total"], constants=constants)


def test_kernels_are_named_after_nodes(model_of: Any) -> None:
    """Channels go last, and what moves them on the way leaves no name behind."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], name="stem"),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "v"], ["c"], name="body"),
        helper.make_node("GlobalAveragePool", ["c"], ["y"], name="pool"),
    ]
    constants = {
        "w": RNG.normal(size=(4, 3, 3, 3)).astype(np.float32),
        "v": RNG.normal(size=(4, 4, 3, 3)).astype(np.float32),
    }
    model = model_of(nodes, {"x": [1, 3, 9, 9]}, ["y"], constants=constants)
    text = ix.compile(model).executable.explain()
    for names in ("stem/Conv, b/Relu", "body/Conv", "pool/GlobalAveragePool"):
        assert re.search(rf"KiB  {names}$", text, re.M), text
    assert "stem/Conv → b/Relu" in text
    assert "stem/Conv → stem/Conv" not in text


def expected(model: Any, x: np.ndarray) -> list[np.ndarray]:
    w, b = (onnx.numpy_helper.to_array(each) for each in model.graph.initializer[:2])
    y = np.maximum(x.astype(np.float64) @ w + b, 0)
    return [y, y.sum(1)]


@pytest.fixture
def x() -> np.ndarray:
    return RNG.normal(size=(5, 8)).astype(np.float32)


def check(results: list[np.ndarray], wanted: list[np.ndarray]) -> None:
    for got, want in zip(results, wanted, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


class TestRun:
    @pytest.mark.parametrize("form", ["path", "bytes", "proto"])
    def test_any_form_of_model(
        self, mlp: Any, x: np.ndarray, tmp_path: Path, form: str
    ) -> None:
        source: Any = mlp
        if form == "path":
            source = tmp_path / "mlp.onnx"
            source.write_bytes(mlp.SerializeToString())
        elif form == "bytes":
            source = mlp.SerializeToString()
        check(InferenceSession(source).run(None, {"x": x}), expected(mlp, x))

    def test_outputs_by_name_and_order(self, mlp: Any, x: np.ndarray) -> None:
        session = InferenceSession(mlp)
        check(session.run(["total", "y"], {"x": x}), expected(mlp, x)[::-1])
        check(session.run(["total"], {"x": x}), expected(mlp, x)[1:])

    def test_each_open_size_is_compiled_once(self, mlp: Any) -> None:
        session = InferenceSession(mlp)
        for batch in (1, 3, 1, 3):
            x = RNG.normal(size=(batch, 8)).astype(np.float32)
            check(session.run(None, {"x": x}), expected(mlp, x))
        assert len(session._programs) == 2

    def test_bounds_are_compiled_once_for_all(self, mlp: Any) -> None:
        session = InferenceSession(mlp, dims={"batch": (1, 16)})
        assert len(session._programs) == 1
        for batch in (1, 3, 16):
            x = RNG.normal(size=(batch, 8)).astype(np.float32)
            check(session.run(None, {"x": x}), expected(mlp, x))
        assert len(session._programs) == 1
        with pytest.raises(InputError, match=r"1\.\.16"):
            session.run(None, {"x": np.zeros((17, 8), np.float32)})

    def test_shape_inputs_are_compiled_in(self, model_of: Any) -> None:
        node = helper.make_node("Expand", ["x", "s"], ["y"])
        inputs = {"x": [1, 3], "s": ([2], TensorProto.INT64)}
        session = InferenceSession(model_of([node], inputs, ["y"]))
        x = RNG.normal(size=(1, 3)).astype(np.float32)
        for rows in (2, 4, 2):
            (y,) = session.run(None, {"x": x, "s": np.array([rows, 3])})
            np.testing.assert_array_equal(y, np.broadcast_to(x, (rows, 3)))
        assert len(session._programs) == 2

    def test_torch_tensors(self, mlp: Any, x: np.ndarray) -> None:
        torch = pytest.importorskip("torch")
        check(
            InferenceSession(mlp).run(None, {"x": torch.from_numpy(x)}),
            expected(mlp, x),
        )

    def test_threads_share_a_session(self, mlp: Any) -> None:
        session = InferenceSession(mlp)
        failures: list[Exception] = []

        def work(batch: int) -> None:
            try:
                for _ in range(5):
                    x = np.full((batch, 8), batch, np.float32)
                    check(session.run(None, {"x": x}), expected(mlp, x))
            except Exception as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(n,)) for n in (1, 2, 3, 2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures

    def test_termination(self, mlp: Any, x: np.ndarray) -> None:
        with pytest.raises(RuntimeFailure, match="terminated"):
            InferenceSession(mlp).run(None, {"x": x}, RunOptions(terminate=True))

    def test_run_async(self, mlp: Any, x: np.ndarray) -> None:
        done = threading.Event()
        answers: list[Any] = []

        def callback(results: list[Any], user_data: Any, error: str) -> None:
            answers.append((results, user_data, error))
            done.set()

        session = InferenceSession(mlp)
        session.run_async(["total"], {"x": x}, callback, "tag")
        assert done.wait(60)
        results, user_data, error = answers.pop()
        check(results, expected(mlp, x)[1:])
        assert (user_data, error) == ("tag", "")
        done.clear()
        session.run_async(None, {}, callback, None)
        assert done.wait(60)
        assert "lacks ['x']" in answers.pop()[2]


class TestValues:
    def test_io_binding(self, mlp: Any, x: np.ndarray) -> None:
        session = InferenceSession(mlp)
        binding = session.io_binding()
        binding.bind_cpu_input("x", x)
        own = OrtValue.ortvalue_from_numpy(np.full((5,), np.nan, np.float32))
        binding.bind_ortvalue_output("total", own)
        binding.bind_output("y")
        session.run_with_iobinding(binding)
        y, total = expected(mlp, x)
        check(binding.copy_outputs_to_cpu(), [total, y])
        check([own.numpy()], [total])

    def test_io_binding_of_another_shape(self, mlp: Any, x: np.ndarray) -> None:
        session = InferenceSession(mlp)
        binding = session.io_binding()
        binding.bind_cpu_input("x", x)
        own = OrtValue.ortvalue_from_numpy(np.zeros((4,), np.float32))
        binding.bind_ortvalue_output("total", own)
        with pytest.raises(InputError, match=r"\(4,\).*\(5,\)"):
            session.run_with_iobinding(binding)

    def test_ort_values(self, mlp: Any, x: np.ndarray) -> None:
        value = OrtValue.ortvalue_from_numpy(x)
        assert (value.data_type(), value.shape()) == ("tensor(float)", [5, 8])
        assert (
            value.element_type() == TensorProto.FLOAT and value.device_name() == "cpu"
        )
        assert value.data_ptr() == x.ctypes.data
        assert OrtValue.from_dlpack(x).data_ptr() == x.ctypes.data
        results = InferenceSession(mlp).run_with_ort_values(None, {"x": value})
        check([each.numpy() for each in results], expected(mlp, x))
        with pytest.raises(InputError, match="cuda"):
            OrtValue.ortvalue_from_numpy(x, "cuda")


class TestDescription:
    def test_inputs_and_outputs(self, mlp: Any) -> None:
        mlp.graph.output[0].CopyFrom(
            helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 16])
        )
        session = InferenceSession(mlp)
        (x,) = session.get_inputs()
        assert (x.name, x.type, x.shape) == ("x", "tensor(float)", ["batch", 8])
        y, total = session.get_outputs()
        assert (y.name, y.type, y.shape) == ("y", "tensor(float)", ["batch", 16])
        assert total.name == "total"
        assert session.get_overridable_initializers() == []

    def test_metadata(self, mlp: Any) -> None:
        mlp.producer_name, mlp.model_version, mlp.doc_string = "test", 3, "text"
        mlp.metadata_props.add(key="author", value="me")
        meta = InferenceSession(mlp).get_modelmeta()
        assert (meta.producer_name, meta.version, meta.description) == (
            "test",
            3,
            "text",
        )
        assert meta.custom_metadata_map == {"author": "me"}
        assert meta.graph_name == "test"

    def test_providers(self, mlp: Any) -> None:
        assert get_available_providers()[0] == "CPUExecutionProvider"
        both = ["CUDAExecutionProvider", "CPUExecutionProvider"]
        assert InferenceSession(mlp, providers=both).get_providers() == both[1:]
        given = [("ReferenceExecutionProvider", {"a": 1})]
        session = InferenceSession(mlp, providers=given)
        assert session.get_provider_options() == {given[0][0]: {"a": 1}}
        assert session.end_profiling() == ""

    def test_options(self, mlp: Any, x: np.ndarray) -> None:
        options = SessionOptions(intra_op_num_threads=1)
        options.graph_optimization_level = GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.add_free_dimension_override_by_name("batch", 5)
        options.add_session_config_entry("session.key", "1")
        session = InferenceSession(mlp, options)
        assert len(session._programs) == 1, "an override fixes the size on loading"
        check(session.run(None, {"x": x}), expected(mlp, x))
        assert session.get_session_options().get_session_config_entry("session.key")
        with pytest.raises(InputError, match="no entry"):
            options.get_session_config_entry("other")
        with pytest.raises(InputError, match=r"batch|shape|size"):
            session.run(None, {"x": np.zeros((4, 8), np.float32)})
