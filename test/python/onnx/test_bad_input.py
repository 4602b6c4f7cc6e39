"""Whatever is wrong in a model or a feed ends in a typed error that says what."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper  # noqa: E402

from ix.errors import InputError, ModelImportError, UnsupportedError  # noqa: E402
from ix.importer.onnx import import_onnx, load_model  # noqa: E402
from ix.session import InferenceSession  # noqa: E402

pytestmark = pytest.mark.onnx

REFERENCE = ["ReferenceExecutionProvider"]


class TestGraphs:
    def test_cycle(self, model_of: Any) -> None:
        nodes = [
            helper.make_node("Add", ["x", "b"], ["a"], name="first"),
            helper.make_node("Relu", ["a"], ["b"]),
        ]
        with pytest.raises(ModelImportError, match=r"'first'.*cycle"):
            load_model(model_of(nodes, {"x": [2]}, ["b"]))

    def test_missing_initializer(self, model_of: Any) -> None:
        model = model_of(
            [helper.make_node("Add", ["x", "w"], ["y"])], {"x": [2]}, ["y"]
        )
        with pytest.raises(ModelImportError, match=r"'w'.*initializer"):
            load_model(model.SerializeToString())

    def test_missing_output(self, model_of: Any) -> None:
        model = model_of([helper.make_node("Relu", ["x"], ["y"])], {"x": [2]}, ["z"])
        with pytest.raises(ModelImportError, match="output 'z'"):
            load_model(model)

    def test_name_defined_twice(self, model_of: Any) -> None:
        nodes = [helper.make_node("Relu", ["x"], ["y"]) for _ in range(2)]
        with pytest.raises(ModelImportError, match="taken"):
            load_model(model_of(nodes, {"x": [2]}, ["y"]))

    def test_self_concatenation_bomb(self, model_of: Any) -> None:
        nodes = [
            helper.make_node("Concat", [f"v{i}", f"v{i}"], [f"v{i + 1}"], axis=0)
            for i in range(60)
        ]
        model = model_of(nodes, {"v0": [4]}, ["v60"])
        content = model.SerializeToString()
        assert len(content) < 4096
        start = time.monotonic()
        with pytest.raises(ModelImportError, match=r"2\^40 elements"):
            import_onnx(content)
        assert time.monotonic() - start < 10

    def test_concatenation_bomb_of_a_constant(self, model_of: Any) -> None:
        nodes = [
            helper.make_node("Concat", [f"v{i}", f"v{i}"], [f"v{i + 1}"], axis=0)
            for i in range(60)
        ]
        constants = {"v0": np.ones(4, np.float32)}
        model = model_of(nodes, {}, ["v60"], constants=constants)
        with pytest.raises(ModelImportError, match=r"2\^40 elements"):
            import_onnx(model)

    @pytest.mark.parametrize("op", ["ConstantOfShape", "Range", "Expand", "Tile"])
    def test_expansion_bomb(self, model_of: Any, op: str) -> None:
        size = np.array([1 << 41], np.int64)
        constants = {
            "ConstantOfShape": {"a": size},
            "Range": {"a": np.int64(0), "b": np.int64(1 << 41), "c": np.int64(1)},
            "Expand": {"a": np.ones(1, np.float32), "b": size},
            "Tile": {"a": np.ones(1, np.float32), "b": size},
        }[op]
        model = model_of(
            [helper.make_node(op, list(constants), ["y"])],
            {},
            ["y"],
            constants=constants,
        )
        with pytest.raises(ModelImportError, match=r"2\^40 elements"):
            import_onnx(model)

    def test_huge_sizes(self, model_of: Any) -> None:
        model = model_of(
            [helper.make_node("Relu", ["x"], ["y"])], {"x": [1 << 30, 1 << 30]}, ["y"]
        )
        with pytest.raises(ModelImportError, match=r"2\^40 elements"):
            load_model(model)

    def test_negative_size_of_an_initializer(self, weighted: Any) -> None:
        weighted.graph.initializer[0].dims[0] = -64
        with pytest.raises(ModelImportError, match="sizes ≥ 0"):
            load_model(weighted.SerializeToString())

    def test_initializer_that_lacks_bytes(self, weighted: Any) -> None:
        weighted.graph.initializer[0].dims[0] = 128
        with pytest.raises(ModelImportError, match=r"32768 bytes.*16384"):
            import_onnx(weighted)

    def test_int4_of_another_length(self, model_of: Any) -> None:
        model = model_of(
            [helper.make_node("Cast", ["w"], ["y"], to=TensorProto.FLOAT)], {}, ["y"]
        )
        tensor = helper.make_tensor(
            "w", TensorProto.INT4, [5], b"\x21\x43\x05", raw=True
        )
        model.graph.initializer.append(tensor)
        import_onnx(model)  # 5 nibbles are 3 bytes
        model.graph.initializer[0].raw_data = b"\x21\x43\x05\x00"
        with pytest.raises(ModelImportError, match=r"3 bytes.*INT4.*has 4"):
            import_onnx(model)

    def test_deep_nesting(self, model_of: Any) -> None:
        body = helper.make_graph(
            [helper.make_node("Identity", ["x"], ["y0"])],
            "g0",
            [],
            [helper.make_value_info("y0", onnx.TypeProto())],
        )
        for level in range(1, 20):
            node = helper.make_node(
                "If", ["c"], [f"y{level}"], then_branch=body, else_branch=body
            )
            body = helper.make_graph(
                [node],
                f"g{level}",
                [],
                [helper.make_value_info(f"y{level}", onnx.TypeProto())],
            )
            if level == 1:  # one branch only, or the model doubles at each level
                body.node[0].attribute[1].g.CopyFrom(body.node[0].attribute[0].g)
        model = model_of(
            [helper.make_node("Relu", ["x"], ["z"])],
            {"x": [2], "c": ([], TensorProto.BOOL)},
            ["z"],
        )
        model.graph.node.append(body.node[0])
        with pytest.raises(ModelImportError, match="at most 16 deep"):
            load_model(model)

    def test_nesting_beyond_the_parser(self, relu: Any) -> None:
        graph = relu.graph.SerializeToString()
        for _ in range(60):  # graph.node.attribute.g
            graph = _field(1, _field(5, _field(6, graph)))
        with pytest.raises(ModelImportError, match=r"nested too deep|needs"):
            load_model(_field(7, graph))

    def test_recursive_function(self, model_of: Any) -> None:
        call = helper.make_node("F", ["x"], ["y"], domain="own")
        function = helper.make_function(
            "own", "F", ["x"], ["y"], [call], [helper.make_opsetid("own", 1)]
        )
        model = model_of(
            [call], {"x": [2]}, ["y"], functions=[function], domains={"own": 1}
        )
        with pytest.raises(ModelImportError, match="calls itself"):
            load_model(model)

    def test_functions_that_multiply(self, model_of: Any) -> None:
        imports = [helper.make_opsetid("own", 1), helper.make_opsetid("", 21)]
        functions = []
        for level in range(10):
            op = f"F{level - 1}" if level else "Relu"
            names = ["x", *(f"t{i}" for i in range(9)), "y"]
            nodes = [
                helper.make_node(op, [a], [b], domain="own" if level else "")
                for a, b in pairwise(names)
            ]
            functions.append(
                helper.make_function("own", f"F{level}", ["x"], ["y"], nodes, imports)
            )
        model = model_of(
            [helper.make_node("F9", ["x"], ["y"], domain="own")],
            {"x": [2]},
            ["y"],
            functions=functions,
            domains={"own": 1},
        )
        with pytest.raises(ModelImportError, match="expand"):
            load_model(model)

    def test_nested_loops_that_multiply(self, model_of: Any) -> None:
        body = helper.make_graph(
            [
                helper.make_node("Relu", ["v"], ["r"]),
                helper.make_node("Identity", ["c"], ["d"]),
            ],
            "inner",
            [
                helper.make_tensor_value_info("i", TensorProto.INT64, []),
                helper.make_tensor_value_info("c", TensorProto.BOOL, []),
                helper.make_tensor_value_info("v", TensorProto.FLOAT, [2]),
            ],
            [helper.make_value_info(name, onnx.TypeProto()) for name in ("d", "r")],
        )
        for level in range(4):
            loop = helper.make_node(
                "Loop", ["n", "", f"v{level}"], [f"r{level}"], body=body
            )
            keep = helper.make_node("Identity", [f"c{level}"], [f"d{level}"])
            body = helper.make_graph(
                [loop, keep],
                f"outer{level}",
                [
                    helper.make_tensor_value_info(f"i{level}", TensorProto.INT64, []),
                    helper.make_tensor_value_info(f"c{level}", TensorProto.BOOL, []),
                    helper.make_tensor_value_info(f"v{level}", TensorProto.FLOAT, [2]),
                ],
                [
                    helper.make_value_info(name, onnx.TypeProto())
                    for name in (f"d{level}", f"r{level}")
                ],
            )
        model = model_of(
            [helper.make_node("Loop", ["n", "", "x"], ["y"], body=body)],
            {"x": [2]},
            ["y"],
            constants={"n": np.int64(40)},
        )
        import ix.importer.onnx.graph as graph

        limit, graph.MAX_NODES = graph.MAX_NODES, 2000
        try:
            with pytest.raises(UnsupportedError, match="more than 2000 nodes"):
                import_onnx(model)
        finally:
            graph.MAX_NODES = limit

    def test_bytes_that_are_no_text(self, relu: Any) -> None:
        content = relu.SerializeToString().replace(b"Relu", b"R\xff\xfeu")
        with pytest.raises(ModelImportError):
            import_onnx(content)

    def test_attribute_that_is_no_text(self, model_of: Any) -> None:
        node = helper.make_node("Gelu", ["x"], ["y"], approximate=b"\xff\xfe")
        with pytest.raises(ModelImportError, match="UTF-8"):
            import_onnx(model_of([node], {"x": [2]}, ["y"]))

    def test_attributes_that_do_not_fit(self, model_of: Any) -> None:
        node = helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[2, 2], pads=[1])
        with pytest.raises(ModelImportError, match="MaxPool node 'y'"):
            import_onnx(model_of([node], {"x": [1, 1, 4, 4]}, ["y"]))

    def test_shapes_that_do_not_fit(self, model_of: Any) -> None:
        node = helper.make_node("MatMul", ["x", "z"], ["y"], name="product")
        with pytest.raises(ModelImportError, match="MatMul node 'product'"):
            import_onnx(model_of([node], {"x": [2, 3], "z": [4, 5]}, ["y"]))


class TestUnsupported:
    def test_everything_is_listed(self, model_of: Any) -> None:
        nodes = [
            helper.make_node("Unique", ["x"], ["u"], name="first"),
            helper.make_node("Relu", ["u"], ["r"]),
            helper.make_node("NoSuchOp", ["r"], ["s"], name="second"),
            helper.make_node("NonZero", ["x"], ["y"], name="third"),
        ]
        with pytest.raises(UnsupportedError) as caught:
            import_onnx(model_of(nodes, {"x": [4]}, ["s", "y"]))
        assert [item.split("'")[1] for item in caught.value.items] == [
            "first",
            "second",
            "third",
        ]
        assert "ai.onnx 21" in str(caught.value)

    @pytest.mark.parametrize("opset", [5, 99])
    @pytest.mark.parametrize("serialised", [False, True])
    def test_opset(self, model_of: Any, opset: int, serialised: bool) -> None:
        model = model_of(
            [helper.make_node("Relu", ["x"], ["y"])], {"x": [2]}, ["y"], opset=opset
        )
        with pytest.raises(UnsupportedError, match=f"opset {opset}.*6 to 28"):
            load_model(model.SerializeToString() if serialised else model)

    def test_domain(self, model_of: Any) -> None:
        node = helper.make_node("Relu", ["x"], ["y"], domain="com.example")
        with pytest.raises(UnsupportedError, match="domain"):
            import_onnx(model_of([node], {"x": [2]}, ["y"]))

    def test_types_of_inputs(self, model_of: Any) -> None:
        node = helper.make_node("Identity", ["x"], ["y"])
        model = model_of([node], {"x": ([2], TensorProto.STRING)}, ["y"])
        with pytest.raises(UnsupportedError, match="STRING"):
            InferenceSession(model, providers=REFERENCE)

    def test_type_of_an_initializer(self, model_of: Any) -> None:
        model = model_of([helper.make_node("Identity", ["w"], ["y"])], {}, ["y"])
        model.graph.initializer.append(
            helper.make_tensor("w", TensorProto.STRING, [1], [b"text"])
        )
        with pytest.raises(UnsupportedError, match="STRING"):
            import_onnx(model)


class TestFeeds:
    @pytest.fixture
    def session(self, relu: Any) -> InferenceSession:
        return InferenceSession(relu, providers=REFERENCE)

    def test_unknown_name(self, session: InferenceSession) -> None:
        x = np.zeros((2, 3), np.float32)
        with pytest.raises(InputError, match=r"'x' tensor\(float\)\[2, 3\].*\['z'\]"):
            session.run(None, {"x": x, "z": x})

    def test_missing_name(self, session: InferenceSession) -> None:
        with pytest.raises(InputError, match=r"lacks \['x'\]"):
            session.run(None, {})

    def test_dtype(self, session: InferenceSession) -> None:
        with pytest.raises(InputError, match=r"float32.*float64.*astype"):
            session.run(None, {"x": np.zeros((2, 3))})

    @pytest.mark.parametrize("shape", [(2, 3, 1), (3, 2), ()])
    def test_shape(self, session: InferenceSession, shape: tuple[int, ...]) -> None:
        with pytest.raises(InputError, match="needs that shape"):
            session.run(None, {"x": np.zeros(shape, np.float32)})

    def test_output_name(self, session: InferenceSession) -> None:
        with pytest.raises(InputError, match=r"out of \['y'\]"):
            session.run(["q"], {"x": np.zeros((2, 3), np.float32)})

    def test_provider(self, relu: Any) -> None:
        with pytest.raises(InputError, match="NoProvider"):
            InferenceSession(relu, providers=["NoProvider"])

    def test_no_array(self, session: InferenceSession) -> None:
        with pytest.raises(InputError, match="'x'"):
            session.run(None, {"x": object()})


def _field(number: int, body: bytes) -> bytes:
    """`body` as a length-delimited protobuf field."""
    size, length = len(body), bytearray()
    while size >= 0x80:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    length.append(size)
    return bytes([number << 3 | 2]) + bytes(length) + body
