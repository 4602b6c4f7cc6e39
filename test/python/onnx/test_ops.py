"""Ops that the node tests of the standard do not cover, against ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
from onnx import TensorProto, helper  # noqa: E402

from ix.errors import UnsupportedError  # noqa: E402

pytestmark = pytest.mark.onnx

FUSED = {"com.microsoft": 1}


def floats(*shape: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(np.float32)


def check(
    model: Any, run: Any, feed: dict[str, Any], rtol: float = 1e-4, atol: float = 1e-5
) -> None:
    """The reference semantics of what was imported equal ONNX Runtime's result."""
    wanted = onnxruntime.InferenceSession(model.SerializeToString()).run(None, feed)
    for got, want in zip(run(model, feed), wanted, strict=True):
        assert (got.dtype, got.shape) == (want.dtype, want.shape)
        np.testing.assert_allclose(got, want, rtol=rtol, atol=atol)


def declared(model: Any, **outputs: tuple[int, list[int]]) -> Any:
    """The model with types of its outputs, which ONNX Runtime asks for."""
    del model.graph.output[:]
    for name, (element, shape) in outputs.items():
        info = helper.make_tensor_value_info(name, element, shape)
        model.graph.output.append(info)
    return model


F = TensorProto.FLOAT


class TestFused:
    @pytest.mark.parametrize("op", ["Gelu", "QuickGelu"])
    def test_unary(self, model_of: Any, run: Any, op: str) -> None:
        node = helper.make_node(op, ["x"], ["y"], domain="com.microsoft")
        model = model_of([node], {"x": [3, 5]}, ["y"], domains=FUSED)
        check(declared(model, y=(F, [3, 5])), run, {"x": 3 * floats(3, 5)})

    @pytest.mark.parametrize("op", ["FastGelu", "BiasGelu"])
    def test_with_bias(self, model_of: Any, run: Any, op: str) -> None:
        node = helper.make_node(op, ["x", "b"], ["y"], domain="com.microsoft")
        model = model_of(
            [node], {"x": [3, 5]}, ["y"], domains=FUSED, constants={"b": floats(5)}
        )
        check(declared(model, y=(F, [3, 5])), run, {"x": floats(3, 5)})

    @pytest.mark.parametrize("inputs", [4, 5])
    def test_skip_layer_norm(self, model_of: Any, run: Any, inputs: int) -> None:
        names = ["x", "s", "gamma", "beta", "bias"][:inputs]
        node = helper.make_node(
            "SkipLayerNormalization",
            names,
            ["y", "", "", "sum"],
            domain="com.microsoft",
            epsilon=1e-3,
        )
        constants = {name: floats(8, seed=i) for i, name in enumerate(names[2:])}
        shapes = {"x": [2, 3, 8], "s": [2, 3, 8]}
        model = model_of([node], shapes, ["y"], domains=FUSED, constants=constants)
        model = declared(model, y=(F, [2, 3, 8]), sum=(F, [2, 3, 8]))
        check(model, run, {"x": floats(2, 3, 8), "s": floats(2, 3, 8, seed=1)})

    @pytest.mark.parametrize("op", ["SkipSimplifiedLayerNormalization"])
    def test_skip_rms_norm(self, model_of: Any, run: Any, op: str) -> None:
        node = helper.make_node(op, ["x", "s", "gamma"], ["y"], domain="com.microsoft")
        shapes = {"x": [2, 3, 8], "s": [2, 3, 8]}
        model = model_of(
            [node], shapes, ["y"], domains=FUSED, constants={"gamma": floats(8)}
        )
        feed = {"x": floats(2, 3, 8), "s": floats(2, 3, 8, seed=1)}
        check(declared(model, y=(F, [2, 3, 8])), run, feed)

    def test_rms_norm_of_the_runtime(self, model_of: Any, run: Any) -> None:
        node = helper.make_node("SimplifiedLayerNormalization", ["x", "g"], ["y"])
        model = model_of([node], {"x": [3, 8]}, ["y"], constants={"g": floats(8)})
        check(declared(model, y=(F, [3, 8])), run, {"x": floats(3, 8)})

    @pytest.mark.parametrize("left", [0, 1])
    @pytest.mark.parametrize("right", [0, 1])
    def test_fused_matmul(self, model_of: Any, run: Any, left: int, right: int) -> None:
        node = helper.make_node(
            "FusedMatMul",
            ["x", "w"],
            ["y"],
            domain="com.microsoft",
            transA=left,
            transB=right,
            alpha=0.5,
        )
        x = floats(2, 4, 3) if left else floats(2, 3, 4)
        w = floats(5, 4) if right else floats(4, 5)
        shapes = {"x": list(x.shape)}
        model = model_of([node], shapes, ["y"], domains=FUSED, constants={"w": w})
        check(declared(model, y=(F, [2, 3, 5])), run, {"x": x})

    @pytest.mark.parametrize("masked", [False, True])
    @pytest.mark.parametrize("causal", [0, 1])
    def test_attention(
        self, model_of: Any, run: Any, masked: bool, causal: int
    ) -> None:
        inputs = ["x", "w", "b", "m"] if masked else ["x", "w", "b"]
        node = helper.make_node(
            "Attention",
            inputs,
            ["y"],
            domain="com.microsoft",
            num_heads=2,
            unidirectional=causal,
        )
        constants: dict[str, Any] = {"w": floats(8, 24), "b": floats(24)}
        if masked:
            constants["m"] = np.array([[1, 1, 1, 0], [1, 0, 0, 0]], np.int32)
        model = model_of(
            [node], {"x": [2, 4, 8]}, ["y"], domains=FUSED, constants=constants
        )
        check(declared(model, y=(F, [2, 4, 8])), run, {"x": floats(2, 4, 8)})

    def test_multi_head_attention(self, model_of: Any, run: Any) -> None:
        node = helper.make_node(
            "MultiHeadAttention",
            ["q", "k", "v", "b"],
            ["y"],
            domain="com.microsoft",
            num_heads=2,
        )
        shapes = {"q": [2, 3, 8], "k": [2, 5, 8], "v": [2, 5, 8]}
        model = model_of(
            [node], shapes, ["y"], domains=FUSED, constants={"b": floats(24)}
        )
        feed = {name: floats(*shape, seed=7) for name, shape in shapes.items()}
        check(declared(model, y=(F, [2, 3, 8])), run, feed)

    def test_embed_layer_norm(self, model_of: Any, run: Any) -> None:
        inputs = ["ids", "segments", "words", "places", "kinds", "g", "b", "mask"]
        node = helper.make_node(
            "EmbedLayerNormalization", inputs, ["y", "kept"], domain="com.microsoft"
        )
        constants = {
            "words": floats(20, 8),
            "places": floats(10, 8),
            "kinds": floats(2, 8),
            "g": floats(8),
            "b": floats(8, seed=2),
        }
        integers = {
            name: ([2, 4], TensorProto.INT32) for name in ("ids", "segments", "mask")
        }
        model = model_of([node], integers, ["y"], domains=FUSED, constants=constants)
        model = declared(model, y=(F, [2, 4, 8]), kept=(TensorProto.INT32, [2]))
        rng = np.random.default_rng(0)
        feed = {
            "ids": rng.integers(0, 20, (2, 4)).astype(np.int32),
            "segments": rng.integers(0, 2, (2, 4)).astype(np.int32),
            "mask": np.array([[1, 1, 1, 0], [1, 0, 0, 0]], np.int32),
        }
        check(model, run, feed)

    def test_a_cache_is_refused(self, model_of: Any, run: Any) -> None:
        node = helper.make_node(
            "Attention",
            ["x", "w", "b", "", "past"],
            ["y"],
            domain="com.microsoft",
            num_heads=2,
        )
        shapes = {"x": [2, 4, 8], "past": [2, 2, 2, 3, 4]}
        constants = {"w": floats(8, 24), "b": floats(24)}
        model = model_of([node], shapes, ["y"], domains=FUSED, constants=constants)
        with pytest.raises(UnsupportedError, match="cache"):
            run(model, {})


class TestStandard:
    @pytest.mark.parametrize("dtype", [np.int32, np.int64])
    def test_integer_division_truncates(
        self, model_of: Any, run: Any, dtype: Any
    ) -> None:
        element = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        node = helper.make_node("Div", ["a", "b"], ["y"])
        model = model_of([node], {"a": ([4], element), "b": ([4], element)}, ["y"])
        feed = {
            "a": np.array([7, -7, 7, -7], dtype),
            "b": np.array([2, 2, -2, -2], dtype),
        }
        check(declared(model, y=(element, [4])), run, feed)

    def test_power_keeps_the_type_of_its_base(self, model_of: Any, run: Any) -> None:
        node = helper.make_node("Pow", ["a", "b"], ["y"])
        inputs = {"a": ([3], TensorProto.INT32), "b": ([3], F)}
        model = declared(model_of([node], inputs, ["y"]), y=(TensorProto.INT32, [3]))
        feed = {
            "a": np.array([2, 3, 4], np.int32),
            "b": np.array([3, 2, 0.5], np.float32),
        }
        check(model, run, feed)

    @pytest.mark.parametrize("ceil", [0, 1])
    @pytest.mark.parametrize("pad", ["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"])
    @pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
    def test_pools(self, model_of: Any, run: Any, op: str, pad: str, ceil: int) -> None:
        attributes: dict[str, Any] = {"kernel_shape": [3, 2], "strides": [2, 2]}
        if pad == "NOTSET":
            attributes["pads"] = [1, 0, 1, 1]
        node = helper.make_node(
            op, ["x"], ["y"], auto_pad=pad, ceil_mode=ceil, **attributes
        )
        model = model_of([node], {"x": [1, 2, 8, 9]}, ["y"])
        x = floats(1, 2, 8, 9)
        (got,) = run(model, {"x": x})
        check(declared(model, y=(F, list(got.shape))), run, {"x": x})

    @pytest.mark.parametrize("group", [1, 2])
    def test_transposed_convolution(self, model_of: Any, run: Any, group: int) -> None:
        node = helper.make_node(
            "ConvTranspose",
            ["x", "w", "b"],
            ["y"],
            strides=[2, 1],
            pads=[1, 0, 0, 1],
            output_padding=[1, 0],
            group=group,
        )
        constants = {"w": floats(4, 3, 3, 2), "b": floats(3 * group)}
        model = model_of([node], {"x": [2, 4, 5, 6]}, ["y"], constants=constants)
        x = floats(2, 4, 5, 6)
        (got,) = run(model, {"x": x})
        check(declared(model, y=(F, list(got.shape))), run, {"x": x})

    @pytest.mark.parametrize("mode", ["linear", "cubic", "nearest"])
    @pytest.mark.parametrize(
        "coordinates",
        ["half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric"],
    )
    def test_resize(self, model_of: Any, run: Any, mode: str, coordinates: str) -> None:
        node = helper.make_node(
            "Resize",
            ["x", "", "", "sizes"],
            ["y"],
            mode=mode,
            coordinate_transformation_mode=coordinates,
            nearest_mode="floor",
        )
        sizes = np.array([1, 2, 7, 4], np.int64)
        model = model_of(
            [node], {"x": [1, 2, 5, 6]}, ["y"], opset=19, constants={"sizes": sizes}
        )
        model = declared(model, y=(F, [1, 2, 7, 4]))
        check(model, run, {"x": floats(1, 2, 5, 6)}, atol=1e-4)

    @pytest.mark.parametrize("op, gates", [("RNN", 1), ("GRU", 3), ("LSTM", 4)])
    def test_recurrent_with_lengths(
        self, model_of: Any, run: Any, op: str, gates: int
    ) -> None:
        node = helper.make_node(
            op,
            ["x", "w", "r", "b", "lengths"],
            ["y", "h"],
            hidden_size=3,
            direction="bidirectional",
        )
        constants = {
            "w": floats(2, gates * 3, 4),
            "r": floats(2, gates * 3, 3),
            "b": floats(2, 2 * gates * 3),
            "lengths": np.array([5, 2], np.int32),
        }
        model = model_of([node], {"x": [5, 2, 4]}, ["y"], opset=14, constants=constants)
        model = declared(model, y=(F, [5, 2, 2, 3]), h=(F, [2, 2, 3]))
        check(model, run, {"x": floats(5, 2, 4)})

    def test_quantised_roundtrip(self, model_of: Any, run: Any) -> None:
        nodes = [
            helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], axis=1),
            helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"], axis=1),
        ]
        constants = {
            "s": np.array([0.1, 0.02, 0.5], np.float32),
            "z": np.array([-3, 100, 0], np.int8),
        }
        model = model_of(nodes, {"x": [4, 3]}, ["y"], constants=constants)
        model = declared(model, y=(F, [4, 3]))
        check(model, run, {"x": 5 * floats(4, 3)})

    def test_top_k_and_scatter(self, model_of: Any, run: Any) -> None:
        nodes = [
            helper.make_node("TopK", ["x", "k"], ["v", "i"], axis=1, largest=0),
            helper.make_node(
                "ScatterElements", ["x", "i", "v"], ["y"], axis=1, reduction="add"
            ),
        ]
        constants = {"k": np.array([2])}
        model = model_of(nodes, {"x": [3, 6]}, ["y"], constants=constants)
        check(declared(model, y=(F, [3, 6])), run, {"x": floats(3, 6)})
