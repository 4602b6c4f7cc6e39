"""Files that are missing, damaged, huge or reach outside end in a typed error."""

from __future__ import annotations

import contextlib
import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
from google.protobuf.message import DecodeError  # noqa: E402
from onnx import TensorProto, numpy_helper  # noqa: E402

from ix.errors import InputError, ModelImportError  # noqa: E402
from ix.importer.onnx import import_onnx, load_model  # noqa: E402
from ix.session import InferenceSession  # noqa: E402

pytestmark = pytest.mark.onnx

REFERENCE = ["ReferenceExecutionProvider"]


def external(model: Any, folder: Path, **entries: str) -> Path:
    """Saves `model` with the first initializer outside, referred to by `entries`."""
    tensor = model.graph.initializer[0]
    (folder / "weights.bin").write_bytes(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": "weights.bin", **entries}.items():
        tensor.external_data.add(key=key, value=value)
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


class TestFiles:
    def test_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(ModelImportError, match="No such file"):
            load_model(tmp_path / "none.onnx")

    def test_folder(self, tmp_path: Path) -> None:
        with pytest.raises(ModelImportError, match="is a folder"):
            load_model(tmp_path)

    def test_name_with_a_zero_byte(self) -> None:
        with pytest.raises(ModelImportError, match="check the path"):
            load_model("model\0.onnx")

    def test_zero_bytes(self, tmp_path: Path) -> None:
        (tmp_path / "empty.onnx").touch()
        with pytest.raises(ModelImportError, match="0 bytes"):
            load_model(tmp_path / "empty.onnx")

    def test_named_pipe_does_not_hang(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe.onnx")
        with pytest.raises(ModelImportError, match="device"):
            load_model(tmp_path / "pipe.onnx")

    def test_text(self) -> None:
        with pytest.raises(ModelImportError, match="protobuf message"):
            load_model(b"<html><body>404 Not Found</body></html>")

    def test_cut_off(self, weighted: Any) -> None:
        with pytest.raises(ModelImportError, match="past the end"):
            load_model(weighted.SerializeToString()[:-1000])

    def test_every_prefix_fails_or_loads(self, relu: Any) -> None:
        from ix.importer.onnx.validate import validate
        from ix.importer.onnx.wire import skeleton

        content = relu.SerializeToString()
        for length in range(1, len(content)):
            try:
                compact, _ = skeleton(memoryview(content[:length]))
                validate(onnx.ModelProto.FromString(compact))
            except ModelImportError:
                pass

    def test_damaged_bytes_never_escape(self, weighted: Any) -> None:
        """Any damage is a typed error or a model; nothing else comes out."""
        from ix.importer.onnx.wire import skeleton

        content = weighted.SerializeToString()
        rng = random.Random(5)
        for _ in range(500):
            damaged = bytearray(content)
            for _ in range(rng.randint(1, 3)):
                # The structure lies at both ends, the weights between them.
                place = rng.choice([rng.randrange(80), -1 - rng.randrange(80)])
                damaged[place] = rng.randrange(256)
            try:
                compact, _ = skeleton(memoryview(damaged))
                model = onnx.ModelProto.FromString(compact)
            except (ModelImportError, DecodeError):
                continue
            with contextlib.suppress(ModelImportError, InputError):
                import_onnx(model)

    def test_another_type(self) -> None:
        with pytest.raises(ModelImportError, match="path, bytes or a ModelProto"):
            load_model(12)

    def test_a_graph_is_missing(self) -> None:
        with pytest.raises(ModelImportError, match="has none"):
            load_model(onnx.ModelProto(ir_version=8).SerializeToString())

    def test_no_opset(self, relu: Any) -> None:
        del relu.opset_import[:]
        with pytest.raises(ModelImportError, match="opset import"):
            load_model(relu)


class TestSandbox:
    def test_crash_of_the_parser_is_an_error(
        self, relu: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import sys

        import ix.importer.onnx.sandbox as sandbox

        monkeypatch.setattr(sys, "executable", "/bin/false")
        with pytest.raises(ModelImportError, match=r"status 1.*onnx\.load"):
            load_model(relu.SerializeToString())
        assert sandbox.MAX_BYTES == 2**31 - 1

    def test_memory_is_limited(
        self, weighted: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import ix.importer.onnx.sandbox as sandbox

        monkeypatch.setattr(sandbox, "_ADDRESS_BYTES", 1 << 20)
        with pytest.raises(ModelImportError, match="parse"):
            load_model(weighted.SerializeToString())

    def test_weights_are_views_of_the_file(self, weighted: Any, tmp_path: Path) -> None:
        path = tmp_path / "model.onnx"
        path.write_bytes(weighted.SerializeToString())
        model = load_model(path)
        tensor = model.proto.graph.initializer[0]
        assert not tensor.HasField("raw_data")
        array = model.tensor(tensor, "w", True)
        assert not array.flags.owndata and not array.flags.writeable
        np.testing.assert_array_equal(
            array, numpy_helper.to_array(weighted.graph.initializer[0])
        )


class TestExternalData:
    def test_is_read(self, weighted: Any, tmp_path: Path) -> None:
        session = InferenceSession(external(weighted, tmp_path), providers=REFERENCE)
        x = np.ones((1, 64), np.float32)
        weight = np.arange(64 * 64, dtype=np.float32).reshape(64, 64)
        np.testing.assert_allclose(session.run(None, {"x": x})[0], x @ weight)

    @pytest.mark.parametrize(
        "location", ["../weights.bin", "/etc/passwd", "a/../../x", "", "a\0b", "..\\w"]
    )
    def test_path_escapes(self, weighted: Any, tmp_path: Path, location: str) -> None:
        path = external(weighted, tmp_path, location=location)
        with pytest.raises(ModelImportError, match=r"model's folder|damaged"):
            import_onnx(path)

    def test_symbolic_link(self, weighted: Any, tmp_path: Path) -> None:
        path = external(weighted, tmp_path)
        (tmp_path / "weights.bin").rename(tmp_path / "elsewhere.bin")
        (tmp_path / "weights.bin").symlink_to(tmp_path / "elsewhere.bin")
        with pytest.raises(ModelImportError, match="links are refused"):
            import_onnx(path)

    def test_linked_folder(self, weighted: Any, tmp_path: Path) -> None:
        (tmp_path / "inside").symlink_to(tmp_path)
        path = external(weighted, tmp_path, location="inside/weights.bin")
        with pytest.raises(ModelImportError, match="links are refused"):
            import_onnx(path)

    def test_hard_link(self, weighted: Any, tmp_path: Path) -> None:
        path = external(weighted, tmp_path)
        os.link(tmp_path / "weights.bin", tmp_path / "second.bin")
        with pytest.raises(ModelImportError, match="hard link"):
            import_onnx(path)

    def test_folder_as_data(self, weighted: Any, tmp_path: Path) -> None:
        (tmp_path / "data").mkdir()
        path = external(weighted, tmp_path, location="data")
        with pytest.raises(ModelImportError, match="regular file"):
            import_onnx(path)

    def test_cut_off(self, weighted: Any, tmp_path: Path) -> None:
        path = external(weighted, tmp_path)
        content = (tmp_path / "weights.bin").read_bytes()
        (tmp_path / "weights.bin").write_bytes(content[:-4])
        with pytest.raises(ModelImportError, match=r"needs 16384 bytes.*has 16380"):
            import_onnx(path)

    @pytest.mark.parametrize("offset", ["16384", "99999999999999999999", "-8", "0x10"])
    def test_offset(self, weighted: Any, tmp_path: Path, offset: str) -> None:
        path = external(weighted, tmp_path, offset=offset, length="16384")
        with pytest.raises(ModelImportError, match=r"cut off|a number"):
            import_onnx(path)

    def test_of_a_model_in_memory(self, weighted: Any, tmp_path: Path) -> None:
        content = external(weighted, tmp_path).read_bytes()
        with pytest.raises(ModelImportError, match="pass the path"):
            import_onnx(content)
