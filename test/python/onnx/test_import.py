"""What the importer makes of opsets, shape arithmetic, functions and control flow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper  # noqa: E402

from ix.errors import InputError, UnsupportedError  # noqa: E402
from ix.importer.onnx import ValuesNeeded, import_onnx  # noqa: E402

pytestmark = pytest.mark.onnx

RNG = np.random.default_rng(7)


def text(program: Any) -> str:
    return str(program.module)


class TestOpsets:
    def test_softmax_flattens_before_13(self, model_of: Any, run: Any) -> None:
        x = RNG.normal(size=(2, 3, 4)).astype(np.float32)
        node = helper.make_node("Softmax", ["x"], ["y"])
        old = run(model_of([node], {"x": [2, 3, 4]}, ["y"], opset=12), {"x": x})[0]
        power = np.exp(x.reshape(2, 12))
        expected = (power / power.sum(1, keepdims=True)).reshape(x.shape)
        np.testing.assert_allclose(old, expected, rtol=1e-5)
        new = run(model_of([node], {"x": [2, 3, 4]}, ["y"], opset=13), {"x": x})[0]
        np.testing.assert_allclose(new.sum(-1), np.ones((2, 3)), rtol=1e-5)

    @pytest.mark.parametrize("opset", [11, 13])
    def test_squeeze_takes_axes_from_either_place(
        self, model_of: Any, run: Any, opset: int
    ) -> None:
        x = RNG.normal(size=(1, 3, 1)).astype(np.float32)
        if opset < 13:
            node = helper.make_node("Squeeze", ["x"], ["y"], axes=[2])
            model = model_of([node], {"x": [1, 3, 1]}, ["y"], opset=opset)
        else:
            node = helper.make_node("Squeeze", ["x", "a"], ["y"])
            model = model_of(
                [node], {"x": [1, 3, 1]}, ["y"], opset=opset, constants={"a": [2]}
            )
        np.testing.assert_array_equal(run(model, {"x": x})[0], x[:, :, 0])

    def test_clip_before_11_has_attributes(self, model_of: Any, run: Any) -> None:
        node = helper.make_node("Clip", ["x"], ["y"], min=-1.0, max=2.0)
        model = model_of([node], {"x": [5]}, ["y"], opset=7)
        x = np.array([-3, -1, 0, 2, 9], np.float32)
        np.testing.assert_array_equal(run(model, {"x": x})[0], np.clip(x, -1, 2))

    def test_group_norm_18_scales_groups(self, model_of: Any, run: Any) -> None:
        x = RNG.normal(size=(2, 4, 3)).astype(np.float32)
        node = helper.make_node(
            "GroupNormalization", ["x", "s", "b"], ["y"], num_groups=2
        )
        scale, bias = np.array([2, 3], np.float32), np.array([1, -1], np.float32)
        model = model_of(
            [node], {"x": [2, 4, 3]}, ["y"], opset=18, constants={"s": scale, "b": bias}
        )
        grouped = x.reshape(2, 2, 6)
        centred = grouped - grouped.mean(2, keepdims=True)
        plain = centred / np.sqrt(grouped.var(2, keepdims=True) + 1e-5)
        expected = (plain * scale[:, None] + bias[:, None]).reshape(x.shape)
        np.testing.assert_allclose(
            run(model, {"x": x})[0], expected, rtol=1e-4, atol=1e-5
        )

    def test_resize_10_is_asymmetric(self, model_of: Any, run: Any) -> None:
        x = np.arange(4, dtype=np.float32).reshape(1, 1, 4)
        node = helper.make_node("Resize", ["x", "s"], ["y"])
        scales = np.array([1, 1, 2], np.float32)
        model = model_of(
            [node], {"x": [1, 1, 4]}, ["y"], opset=10, constants={"s": scales}
        )
        expected = np.repeat(x, 2, 2)
        np.testing.assert_array_equal(run(model, {"x": x})[0], expected)


class TestShapes:
    def flattened(self, model_of: Any, shape: list[Any]) -> Any:
        """x[batch, …] reshaped to [batch, −1] as exporters spell it."""
        nodes = [
            helper.make_node("Shape", ["x"], ["s"]),
            helper.make_node("Gather", ["s", "zero"], ["n"], axis=0),
            helper.make_node("Unsqueeze", ["n", "axes"], ["n1"]),
            helper.make_node("Concat", ["n1", "rest"], ["wanted"], axis=0),
            helper.make_node("Reshape", ["x", "wanted"], ["y"]),
        ]
        constants = {"zero": np.int64(0), "axes": [0], "rest": np.array([-1])}
        return model_of(nodes, {"x": shape}, ["y"], constants=constants)

    def test_static_arithmetic_leaves_one_reshape(self, model_of: Any) -> None:
        program = import_onnx(self.flattened(model_of, [2, 3, 4]))
        assert text(program).count("ix.") - text(program).count("ix.name") == 1
        assert 'ix.reshape"(%arg0) {shape = [2, 12]}' in text(program)

    def test_dynamic_sizes_become_expressions(self, model_of: Any, run: Any) -> None:
        model = self.flattened(model_of, ["batch size", 3, 4])
        program = import_onnx(model, dims={"batch size": (1, 64)})
        assert "tensor<?x12xf32>" in text(program)
        assert 'ix.dims = ["batch_size", "", ""]' in text(program)
        x = RNG.normal(size=(5, 3, 4)).astype(np.float32)
        result = run(model, {"x": x}, dims={"batch size": (1, 64)})[0]
        np.testing.assert_array_equal(result, x.reshape(5, 12))

    def test_open_sizes_need_a_remedy(self, model_of: Any) -> None:
        model = self.flattened(model_of, ["n", 3, 4])
        with pytest.raises(InputError, match=r"'n' \(axis 0\).*shapes=.*dims="):
            import_onnx(model)
        import_onnx(model, shapes={"x": (2, 3, 4)})
        with pytest.raises(InputError, match="size 3 on axis 1"):
            import_onnx(model, shapes={"x": (2, 5, 4)})
        with pytest.raises(InputError, match="rank 3"):
            import_onnx(model, shapes={"x": (2, 3)})

    def test_sizes_serve_as_numbers(self, model_of: Any, run: Any) -> None:
        nodes = [
            helper.make_node("Shape", ["x"], ["s"]),
            helper.make_node("Cast", ["s"], ["f"], to=TensorProto.FLOAT),
            helper.make_node("Add", ["x", "f"], ["y"]),
        ]
        model = model_of(nodes, {"x": ["n", 2]}, ["y"])
        x = np.ones((3, 2), np.float32)
        for dims in ({}, {"n": (1, 8)}):
            result = run(model, {"x": x}, dims=dims)[0]
            np.testing.assert_array_equal(result, x + np.array([3, 2]))

    def test_inputs_that_are_shapes_are_asked_for(
        self, model_of: Any, run: Any
    ) -> None:
        node = helper.make_node("Reshape", ["x", "s"], ["y"])
        model = model_of([node], {"x": [2, 6], "s": ([2], TensorProto.INT64)}, ["y"])
        with pytest.raises(ValuesNeeded) as caught:
            import_onnx(model)
        assert caught.value.inputs == {"s"}
        program = import_onnx(model, values={"s": np.array([3, 4])})
        assert program.input_names == ["x"]
        x = RNG.normal(size=(2, 6)).astype(np.float32)
        result = run(model, {"x": x, "s": np.array([4, -1])})[0]
        np.testing.assert_array_equal(result, x.reshape(4, 3))

    def test_a_dynamic_size_is_no_input_to_ask_for(self, model_of: Any) -> None:
        nodes = [
            helper.make_node("Shape", ["x"], ["k"], start=0, end=1),
            helper.make_node("TopK", ["x", "k"], ["v", "y"], axis=1),
        ]
        model = model_of(nodes, {"x": ["n", 8]}, ["y"])
        import_onnx(model, shapes={"x": (3, 8)})
        with pytest.raises(UnsupportedError, match="constant k") as caught:
            import_onnx(model, dims={"n": (1, 8)})
        assert not isinstance(caught.value, ValuesNeeded)

    def test_constants_computed_by_ops_are_known(self, model_of: Any, run: Any) -> None:
        nodes = [  # an axis that only the reference of ix.argmax can tell
            helper.make_node("ArgMax", ["c"], ["a"], keepdims=1),
            helper.make_node("Squeeze", ["x", "a"], ["y"]),
        ]
        constants = {"c": np.array([0.5, 0.1, 0.9], np.float32)}
        model = model_of(nodes, {"x": [2, 3, 1]}, ["y"], constants=constants)
        x = RNG.normal(size=(2, 3, 1)).astype(np.float32)
        np.testing.assert_array_equal(run(model, {"x": x})[0], x[:, :, 0])

    def test_slices(self, model_of: Any, run: Any) -> None:
        x = np.arange(60, dtype=np.float32).reshape(5, 12)
        cases = [
            ([0], [2**63 - 1], [0], [2]),
            ([-1], [-(2**63)], [1], [-1]),
            ([3, -9], [1, -2], [0, 1], [1, 3]),
            ([10], [1], [1], [-4]),
            ([4], [-100], [0], [-2]),
        ]
        for starts, ends, axes, steps in cases:
            constants = {"s": starts, "e": ends, "a": axes, "t": steps}
            constants = {k: np.array(v, np.int64) for k, v in constants.items()}
            node = helper.make_node("Slice", ["x", *constants], ["y"])
            model = model_of([node], {"x": [5, 12]}, ["y"], constants=constants)
            index = [slice(None)] * 2
            for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
                stop = None if step < 0 and end < -x.shape[axis] else end
                index[axis] = slice(start, stop, step)
            np.testing.assert_array_equal(run(model, {"x": x})[0], x[tuple(index)])


class TestFunctions:
    def test_local_function_with_an_attribute(self, model_of: Any, run: Any) -> None:
        scale = helper.make_node("Constant", [], ["k"])
        scale.attribute.add(name="value_float", ref_attr_name="factor", type=1)
        function = helper.make_function(
            "own",
            "Scale",
            ["a"],
            ["b"],
            [scale, helper.make_node("Mul", ["a", "k"], ["b"])],
            [helper.make_opsetid("", 21)],
            attributes=["factor"],
        )
        node = helper.make_node("Scale", ["x"], ["y"], domain="own", factor=2.5)
        model = model_of(
            [node], {"x": [3]}, ["y"], functions=[function], domains={"own": 1}
        )
        x = np.array([1, -2, 4], np.float32)
        np.testing.assert_array_equal(run(model, {"x": x})[0], x * 2.5)

    def test_function_replaces_an_op_of_the_same_name(
        self, model_of: Any, run: Any
    ) -> None:
        function = helper.make_function(
            "com.microsoft",
            "Gelu",
            ["a"],
            ["b"],
            [helper.make_node("Neg", ["a"], ["b"])],
            [helper.make_opsetid("", 21)],
        )
        node = helper.make_node("Gelu", ["x"], ["y"], domain="com.microsoft")
        model = model_of(
            [node],
            {"x": [2]},
            ["y"],
            functions=[function],
            domains={"com.microsoft": 1},
        )
        x = np.array([1, -2], np.float32)
        np.testing.assert_array_equal(run(model, {"x": x})[0], -x)

    def test_body_of_the_standard(self, model_of: Any, run: Any) -> None:
        node = helper.make_node("MeanVarianceNormalization", ["x"], ["y"], axes=[0, 2])
        x = RNG.normal(size=(3, 2, 5)).astype(np.float32)
        expected = (x - x.mean((0, 2), keepdims=True)) / x.std((0, 2), keepdims=True)
        result = run(model_of([node], {"x": [3, 2, 5]}, ["y"]), {"x": x})[0]
        np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)


def branch(node: Any, output: str) -> Any:
    return helper.make_graph(
        [node], output, [], [helper.make_value_info(output, onnx.TypeProto())]
    )


class TestControlFlow:
    def conditional(self, model_of: Any) -> Any:
        node = helper.make_node(
            "If",
            ["c"],
            ["y"],
            then_branch=branch(helper.make_node("Neg", ["x"], ["t"]), "t"),
            else_branch=branch(helper.make_node("Abs", ["x"], ["e"]), "e"),
        )
        return model_of([node], {"x": [2], "c": ([], TensorProto.BOOL)}, ["y"])

    def test_if_on_a_constant_is_its_branch(self, model_of: Any) -> None:
        program = import_onnx(self.conditional(model_of), values={"c": np.array(True)})
        assert "ix.neg" in text(program) and "ix.abs" not in text(program)

    @pytest.mark.parametrize("condition", [True, False])
    def test_if_on_an_input_selects(
        self, model_of: Any, run: Any, condition: bool
    ) -> None:
        x = np.array([-1, 2], np.float32)
        model = self.conditional(model_of)
        assert "ix.select" in text(import_onnx(model))
        result = run(model, {"x": x, "c": np.array(condition)})[0]
        np.testing.assert_array_equal(result, -x if condition else np.abs(x))

    def loop(self, model_of: Any, trips: int) -> Any:
        body = helper.make_graph(
            [
                helper.make_node("Add", ["v", "x"], ["w"]),
                helper.make_node("Mul", ["w", "w"], ["scanned"]),
                helper.make_node("Identity", ["c"], ["d"]),
            ],
            "body",
            [
                helper.make_tensor_value_info("i", TensorProto.INT64, []),
                helper.make_tensor_value_info("c", TensorProto.BOOL, []),
                helper.make_tensor_value_info("v", TensorProto.FLOAT, [2]),
            ],
            [
                helper.make_value_info("d", onnx.TypeProto()),
                helper.make_value_info("w", onnx.TypeProto()),
                helper.make_tensor_value_info("scanned", TensorProto.FLOAT, [2]),
            ],
        )
        node = helper.make_node("Loop", ["n", "", "x"], ["last", "all"], body=body)
        return model_of(
            [node], {"x": [2]}, ["last", "all"], constants={"n": np.int64(trips)}
        )

    @pytest.mark.parametrize("trips", [0, 1, 5])
    def test_loop_is_unrolled(self, model_of: Any, run: Any, trips: int) -> None:
        x = np.array([1, -2], np.float32)
        last, everything = run(self.loop(model_of, trips), {"x": x})
        np.testing.assert_allclose(last, x * (trips + 1))
        expected = np.array([(x * (t + 2)) ** 2 for t in range(trips)]).reshape(
            trips, 2
        )
        np.testing.assert_allclose(everything, expected)

    def test_long_loop_is_refused(self, model_of: Any) -> None:
        with pytest.raises(UnsupportedError, match="runs 65 times"):
            import_onnx(self.loop(model_of, 65))

    def test_scan_backward(self, model_of: Any, run: Any) -> None:
        body = helper.make_graph(
            [
                helper.make_node("Add", ["s", "row"], ["t"]),
                helper.make_node("Identity", ["t"], ["copy"]),
            ],
            "body",
            [
                helper.make_tensor_value_info("s", TensorProto.FLOAT, [2]),
                helper.make_tensor_value_info("row", TensorProto.FLOAT, [2]),
            ],
            [helper.make_value_info(name, onnx.TypeProto()) for name in ("t", "copy")],
        )
        node = helper.make_node(
            "Scan",
            ["z", "x"],
            ["last", "all"],
            body=body,
            num_scan_inputs=1,
            scan_input_directions=[1],
            scan_output_axes=[1],
        )
        model = model_of(
            [node],
            {"x": [4, 2]},
            ["last", "all"],
            constants={"z": np.zeros(2, np.float32)},
        )
        x = RNG.normal(size=(4, 2)).astype(np.float32)
        last, everything = run(model, {"x": x})
        np.testing.assert_allclose(last, x.sum(0), rtol=1e-5)
        np.testing.assert_allclose(everything, np.cumsum(x[::-1], 0).T, rtol=1e-5)


class TestLocations:
    def test_ops_name_their_node(self, model_of: Any) -> None:
        node = helper.make_node("Relu", ["x"], ["y"], name="encoder.0")
        program = import_onnx(model_of([node], {"x": [2]}, ["y"]))
        shown = program.module.operation.get_asm(enable_debug_info=True)
        assert 'loc("encoder.0/Relu"' in shown

    def test_parameters_keep_their_names(self, model_of: Any) -> None:
        weight = RNG.normal(size=(32, 32)).astype(np.float32)
        node = helper.make_node("MatMul", ["x", "layer.weight"], ["y"])
        model = model_of(
            [node], {"x": [1, 32]}, ["y"], constants={"layer.weight": weight}
        )
        program = import_onnx(model)
        assert list(program.weights) == ["layer.weight"]
        assert 'name = "layer.weight"' in text(program)
