"""The code on the pages that users read runs as it stands, in the order of the page."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ix
from ix.errors import CompileError
from ix.mlir import ir
from ix.passes.framework import run_passes

ROOT = Path(__file__).parents[2]


def code(page: str) -> list[str]:
    """The Python blocks of a page."""
    return re.findall(r"(?ms)^```python\n(.*?)^```$", (ROOT / page).read_text())


def run(blocks: list[str], **names: Any) -> dict[str, Any]:
    """What the blocks define, run one after the other."""
    assert blocks
    for block in blocks:
        exec(compile(block, "page", "exec"), names)
    return names


def test_readme() -> None:
    names = run(code("README.md"))
    expected = np.maximum(np.ones((32, 64)) @ names["w1"], 0) @ names["w2"]
    np.testing.assert_allclose(names["y"], expected, rtol=1e-4, atol=1e-3)


def test_numpy_page() -> None:
    blocks = [block.replace("...", "return q") for block in code("docs/numpy.md")]
    attend = run(blocks, ix=ix, np=np)["attend"]
    x = np.random.default_rng().standard_normal((2, 5, 8)).astype(np.float32)
    w = {"q": np.ones((8, 8), np.float32)}
    got = attend(x, w, heads=4)
    assert got.shape == (2, 5, 4, 2)
    np.testing.assert_allclose(got[..., 0, 0], x.sum(-1, dtype=np.float64), atol=1e-5)


@pytest.mark.torch
def test_pytorch_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    names = run(code("docs/pytorch.md"))
    with torch.inference_mode():
        expected = names["module"](names["x"])
    for got in (names["model"](names["x"]), torch.from_numpy(names["y"])):
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.onnx
def test_onnx_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    onnx = pytest.importorskip("onnx")
    monkeypatch.chdir(tmp_path)
    kind = onnx.TensorProto.INT64
    shape = ["batch", "sequence"]
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Mul", ["input_ids", "attention_mask"], ["y"])],
        "masked",
        [
            onnx.helper.make_tensor_value_info(name, kind, shape)
            for name in ("input_ids", "attention_mask")
        ],
        [onnx.helper.make_tensor_value_info("y", kind, shape)],
    )
    opset = onnx.helper.make_opsetid("", 20)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[opset]), "model.onnx")
    ids = np.arange(6, dtype=np.int64).reshape(2, 3)
    names = run(code("docs/onnx.md"), ids=ids, mask=ids % 2)
    assert np.array_equal(names["outputs"][0], ids * (ids % 2))
    feeds = {"input_ids": ids, "attention_mask": ids % 2}
    assert np.array_equal(names["session"].run(None, feeds)[0], ids * (ids % 2))


def test_page_on_passes() -> None:
    imports = (
        "from ix.dialects import ix\n"
        "from ix.errors import CompileError\n"
        "from ix.mlir import ir, ops_in\n"
        "from ix.passes.framework import module_pass\n"
    )
    patterns, module_pass = code("docs/writing_a_pass.md")
    fold = run([patterns], __doc__=patterns.split('"""')[1])["fold_transpose"]
    check = run([imports, module_pass])["check_tile"]
    assert fold.summary == "removes transposes that undo each other."
    from ix.dialects import context

    with context():
        module = ir.Module.parse("""func.func @f(%x: tensor<4x6xf32>) -> tensor<4x6xf32> {
          %0 = "ix.transpose"(%x) {permutation = [1, 0]} : (tensor<4x6xf32>) -> tensor<6x4xf32>
          %1 = "ix.transpose"(%0) {permutation = [1, 0]} : (tensor<6x4xf32>) -> tensor<4x6xf32>
          return %1 : tensor<4x6xf32>
        }""")
    with pytest.raises(CompileError, match="axis 1 is 6; pad it or pass tile=1"):
        run_passes(module, [check.with_options(tile=4)])
    run_passes(module, [fold, check.with_options(tile=8), "cse"])
    assert "ix.transpose" not in str(module)


@pytest.mark.parametrize(
    "page", [*sorted(ROOT.glob("docs/*.md")), ROOT / "README.md"], ids=lambda p: p.name
)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
        assert link.startswith("https://") or (page.parent / link).exists(), link
