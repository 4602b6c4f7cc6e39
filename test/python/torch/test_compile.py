"""`ix.compile`: every kind of model, nests in and out, and its errors."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import ix  # noqa: E402

pytestmark = pytest.mark.torch


class Named(torch.nn.Module):
    """Takes and returns nests."""

    def __init__(self):
        super().__init__()
        self.inner = torch.nn.Linear(4, 3)

    def forward(self, x, pair, *, scale, flag=True):
        y = self.inner(x) * scale
        return {"y": y, "rest": [pair[0] + pair[1], None, 7], "flag": flag}


def assert_close(a, b):
    torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


def test_nests_of_tensors_in_and_out():
    model = Named().eval()
    x, a, b, s = torch.randn(2, 4), torch.randn(3), torch.randn(3), torch.randn(1)
    compiled = ix.compile(model, (x, (a, b)), kwargs={"scale": s})
    x, s = torch.randn(2, 4), torch.randn(1)
    got, expected = compiled(x, (a, b), scale=s), model(x, (a, b), scale=s)
    assert_close(got["y"], expected["y"])
    assert_close(got["rest"][0], a + b)
    assert got["rest"][1:] == [None, 7]
    assert got["flag"] is True


def test_numpy_in_gives_numpy_out():
    model = torch.nn.Linear(4, 3).eval()
    x = np.random.default_rng().standard_normal((2, 4), np.float32)
    compiled = ix.compile(model, x)
    result = compiled(x)
    assert isinstance(result, np.ndarray)
    assert_close(torch.from_numpy(result), model(torch.from_numpy(x)).detach())


def test_results_do_not_share_memory_between_calls():
    compiled = ix.compile(torch.nn.Identity(), torch.zeros(3))
    first = compiled(torch.ones(3))
    second = compiled(torch.full((3,), 2.0))
    assert first.tolist() == [1, 1, 1]
    assert second.tolist() == [2, 2, 2]


def test_bfloat16_goes_through():
    model = torch.nn.Linear(32, 16).to(torch.bfloat16).eval()
    x = torch.randn(4, 32, dtype=torch.bfloat16)
    result = ix.compile(model, x)(x)
    assert result.dtype == torch.bfloat16
    exact = torch.nn.functional.linear(
        x.double(), model.weight.double(), model.bias.double()
    )
    torch.testing.assert_close(result.double(), exact, rtol=2e-2, atol=2e-2)


def test_exported_programs():
    model = torch.nn.Linear(4, 3).eval()
    x = torch.randn(2, 4)
    exported = torch.export.export(model, (x,))
    assert_close(ix.compile(exported)(x), model(x).detach())
    assert_close(exported.module()(x), model(x))  # the caller's is as it was


def test_sizes_in_the_result():
    class Sized(torch.nn.Module):
        def forward(self, x):
            return x.reshape(-1), x.shape[0] * 2 + 1

    n = torch.export.Dim("n", min=1, max=8)
    compiled = ix.compile(Sized(), torch.randn(3, 4), dynamic_shapes=({0: n},))
    flat, size = compiled(torch.ones(5, 4))
    assert flat.shape == (20,)
    assert size == 11


def test_floats_of_sizes():
    class Scaled(torch.nn.Module):
        def forward(self, x):
            return x * x.shape[0] ** -0.5 + x.shape[0] / 3

    n = torch.export.Dim("n", min=1, max=8)
    compiled = ix.compile(Scaled(), torch.randn(3, 4), dynamic_shapes=({0: n},))
    x = torch.randn(5, 4)
    assert compiled(x).dtype == torch.float32
    assert_close(compiled(x), x * 5**-0.5 + 5 / 3)


def test_related_sizes():
    class Halves(torch.nn.Module):
        def forward(self, x):
            a, b = x.chunk(2, 0)
            return (a + b).sum(1), torch.arange(a.shape[0]) + x.shape[0] // 2

    half = torch.export.Dim("half", min=1, max=8)
    compiled = ix.compile(Halves(), torch.randn(6, 4), dynamic_shapes=({0: 2 * half},))
    x = torch.randn(10, 4)
    sums, places = compiled(x)
    assert_close(sums, (x[:5] + x[5:]).sum(1))
    assert places.tolist() == [5, 6, 7, 8, 9]


def test_buffers_that_are_written_are_state():
    class Counter(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("total", torch.zeros(3))

        def forward(self, x):
            self.total += x
            return self.total * 2

    model = Counter()
    compiled = ix.compile(model, torch.ones(3))
    assert compiled(torch.ones(3)).tolist() == [2, 2, 2]
    assert compiled(torch.ones(3)).tolist() == [4, 4, 4]
    assert compiled.state["total"].tolist() == [2, 2, 2]
    assert model.total.tolist() == [0, 0, 0]
    compiled.reset()
    assert compiled(torch.ones(3)).tolist() == [2, 2, 2]


def test_arguments_that_are_written_are_written():
    class Writer(torch.nn.Module):
        def forward(self, x, y):
            x.add_(y)
            return x.sum()

    compiled = ix.compile(Writer(), (torch.zeros(3), torch.ones(3)))
    x = torch.arange(3.0)
    assert compiled(x, torch.ones(3)).item() == 6
    assert x.tolist() == [1, 2, 3]


def test_tied_and_non_persistent_weights():
    class Tied(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.a = torch.nn.Linear(40, 40, bias=False)
            self.b = torch.nn.Linear(40, 40, bias=False)
            self.b.weight = self.a.weight
            self.register_buffer("shift", torch.randn(40), persistent=False)

        def forward(self, x):
            return self.b(self.a(x)) + self.shift

    model = Tied().eval()
    x = torch.randn(2, 40)
    compiled = ix.compile(model, x)
    assert_close(compiled(x), model(x).detach())
    assert len([name for name in compiled.program.weights if "weight" in name]) == 1


def test_functions_and_files(tmp_path):
    x = np.ones((2, 3), np.float32)
    compiled = ix.compile(lambda x: np.tanh(x) + 1, (x,))
    np.testing.assert_allclose(compiled(x), np.tanh(x) + 1, rtol=1e-6)
    path = tmp_path / "double.mlir"
    path.write_text(
        "func.func @main(%x: tensor<2x3xf32>) -> tensor<2x3xf32> {\n"
        '  %0 = "ix.add"(%x, %x) : (tensor<2x3xf32>, tensor<2x3xf32>)'
        " -> tensor<2x3xf32>\n"
        "  return %0 : tensor<2x3xf32>\n}\n"
    )
    np.testing.assert_array_equal(ix.compile(str(path))(x), 2 * x)


def test_onnx_models():
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node("Add", ["a", "b"], ["c"])],
        "add",
        [helper.make_tensor_value_info(name, kind, ["n"]) for name in "ab"],
        [helper.make_tensor_value_info("c", kind, ["n"])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])
    compiled = ix.compile(model.SerializeToString(), dims={"n": (1, 8)})
    a, b = np.ones(3, np.float32), np.arange(3, dtype=np.float32)
    np.testing.assert_array_equal(compiled(a, b), a + b)
    np.testing.assert_array_equal(compiled(b=b, a=a), a + b)
    result = compiled(torch.from_numpy(a), torch.from_numpy(b))
    assert isinstance(result, torch.Tensor)
    with pytest.raises(ix.InputError, match="needs the inputs b by name, but got z"):
        compiled(a, z=b)


def test_unsupported_ops_are_listed_with_their_places():
    class Odd(torch.nn.Module):
        def forward(self, x):
            return torch.nonzero(x), torch.fft.rfft(x), x[x > 0]

    with pytest.raises(ix.UnsupportedError) as caught:
        ix.compile(Odd(), torch.randn(8))
    text = str(caught.value)
    assert "aten.nonzero.default" in text
    assert "aten.fft_rfft.default" in text
    assert "depends on data" in text
    assert "test_compile.py:" in text


def test_training_is_refused():
    model = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Dropout(0.5))
    with pytest.raises(ix.UnsupportedError, match=r"1/dropout.*call \.eval\(\)"):
        ix.compile(model, torch.randn(2, 3))


def test_dimensions_need_a_maximum():
    n = torch.export.Dim("n")
    with pytest.raises(ix.InputError, match=r"'n'.*upper bound.*Dim\(name"):
        ix.compile(torch.nn.Identity(), torch.randn(3), dynamic_shapes=({0: n},))


@pytest.mark.parametrize(
    "model,inputs,match",
    [
        (3, None, "needs a torch.nn.Module"),
        (torch.nn.Identity(), None, "needs example inputs to export Identity"),
        (abs, None, "needs example inputs to trace"),
        ("model.pt2", None, "may hold pickled code; pass trust=True"),
        ("model.pth", None, "holds weights or a pickled module"),
    ],
)
def test_what_is_no_model_is_refused(model, inputs, match):
    with pytest.raises(ix.InputError, match=match):
        ix.compile(model, inputs)


def test_exported_files_are_read_on_request(tmp_path, capsys):
    from ix.tools.ix import main

    path, model = tmp_path / "model.pt2", torch.nn.Linear(4, 3).eval()
    x = torch.randn(2, 4)
    torch.export.save(torch.export.export(model, (x,)), path)
    torch.testing.assert_close(ix.compile(path, trust=True)(x), model(x).detach())
    assert main(["run", str(path), "--trust", "--input", "2x4xf32"]) == 0
    assert main(["run", str(path), "--input", "2x4xf32"]) == 1
    assert "--trust" in capsys.readouterr().err
    path.write_bytes(b"nonsense")
    with pytest.raises(ix.ModelImportError, match=r"model\.pt2' cannot be read"):
        ix.compile(path, trust=True)


def test_options_of_other_kinds_are_refused():
    with pytest.raises(ix.InputError, match="does not take dims"):
        ix.compile(torch.nn.Identity(), torch.ones(2), dims={})


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(ix.ModelImportError, match="cannot be read"):
        ix.compile(tmp_path / "none.mlir")
    (tmp_path / "bad.mlir").write_text("nonsense")
    with pytest.raises(ix.ModelImportError, match="no valid ix program"):
        ix.compile(tmp_path / "bad.mlir")


def test_other_nests_and_constants_are_refused():
    model = Named().eval()
    x, a, s = torch.randn(2, 4), torch.randn(3), torch.randn(1)
    compiled = ix.compile(model, (x, (a, a)), kwargs={"scale": s, "flag": True})
    with pytest.raises(ix.InputError, match="nested as it was compiled for"):
        compiled(x, [a, a], scale=s, flag=True)
    with pytest.raises(ix.InputError, match="needs to be True"):
        compiled(x, (a, a), scale=s, flag=False)


def test_modules_on_other_devices_are_refused():
    model = torch.nn.Linear(3, 3, device="meta")
    with pytest.raises(ix.InputError, match=r"CPU memory, but it is on meta"):
        ix.compile(model, torch.empty(2, 3, device="meta"))


def test_handlers_are_named_after_real_ops():
    from ix.importer.torch_export import HANDLERS

    for name in HANDLERS:
        package, op, overload = name.split(".")
        if package == "aten":
            assert hasattr(getattr(torch.ops.aten, op), overload), name


def test_dimensions_may_be_those_of_ix():
    class Sum(torch.nn.Module):
        def forward(self, x, pair):
            return x + pair["a"][0]

    rows, columns = ix.Dim("rows", 1, 64), ix.Dim("columns", 2, 9)
    shapes = ({0: rows, 1: columns}, {"a": [{0: rows, 1: columns}]})
    x = torch.randn(4, 5)  # given twice, and yet two inputs
    compiled = ix.compile(Sum(), (x, {"a": [x]}), dynamic_shapes=shapes)
    for size in ((1, 2), (64, 9)):
        x, y = torch.randn(size), torch.randn(size)
        assert torch.equal(compiled(x, {"a": [y]}), x + y)
    with pytest.raises(
        ix.InputError, match=r"axis 0 \(rows\) within 1..64, but it is 65"
    ):
        compiled(torch.randn(65, 2), {"a": [torch.randn(65, 2)]})
    assert "float32[rows, columns]" in repr(compiled)


def test_what_torch_cannot_export_is_an_error_with_its_place():
    class Branch(torch.nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    match = (
        r"test_compile\.py:\d+:\d+: error: Branch needs to be exported .*torch\.where"
    )
    with pytest.raises(ix.ModelImportError, match=match):
        ix.compile(Branch(), torch.randn(3))


def test_ops_carry_their_source():
    from ix.importer.torch_export import import_exported

    model = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.GELU()).eval()
    exported = torch.export.export(model, (torch.randn(2, 3),))
    program = import_exported(exported).program
    text = program.module.operation.get_asm(enable_debug_info=True)
    assert 'loc("1/gelu"(' in text
