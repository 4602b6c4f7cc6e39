"""The runtimes that the demo compares: each opens the model and embeds token batches.

Only `worker.py` uses them, each in a process of its own.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ix.tools.demo import minilm

__all__ = ["RUNTIMES", "Embed", "Runtime"]

Embed = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(tokens i64[b, s], mask i64[b, s]) → f32[b, 384]."""


class Runtime:
    """One way to run the model.

    Args:
        threads: Threads of one call.
        length: Tokens of a sentence.
    """

    def __init__(self, threads: int, length: int) -> None:
        self.threads = threads
        self.length = length

    def open(self, batch: int) -> Embed:
        """The model for batches of this size."""
        raise NotImplementedError

    def facts(self) -> dict[str, Any]:
        """What else the report says about it."""
        return {}


class IxRuntime(Runtime):
    """`ix.jit` of the NumPy code, compiled for the batch size."""

    def __init__(self, threads: int, length: int) -> None:
        super().__init__(threads, length)
        import ix

        weights = minilm.load_weights()

        def all_minilm_l6_v2(tokens: Any, mask: Any) -> Any:
            return minilm.embed(weights, tokens, mask)

        self.function = ix.jit(all_minilm_l6_v2, num_threads=threads)
        self.programs: dict[int, Any] = {}
        self.known: dict[str, Any] = {}

    def open(self, batch: int) -> Embed:
        import ix.compiler  # noqa: F401  loads MLIR and LLVM, which the first one pays

        start = time.perf_counter()
        lowered = self.function.lower(*self._arguments(batch))
        traced = time.perf_counter()
        compiled = lowered.compile()
        end = time.perf_counter()
        self.programs[batch] = compiled
        executable = compiled.executable
        plan = executable.plan
        self.known[f"b{batch}"] = {
            "trace_s": traced - start,
            "compile_cold_s": end - start,
            "launches": len(plan.launches),
            "kernels": len(plan.kernels),
            "gflop": plan.flops / 1e9,
            "memory_bytes": executable.memory_bytes,
            "target": plan.target.partition("{")[0],
        }
        return lambda tokens, mask: executable.run_flat((tokens, mask))[0]

    def compile_again(self, batch: int) -> None:
        """Compiles once more, out of the cache, and notes the time."""
        start = time.perf_counter()
        self.function.lower(*self._arguments(batch)).compile()
        self.known[f"b{batch}"]["compile_cached_s"] = time.perf_counter() - start

    def save(self, folder: Path, batch: int) -> list[str]:
        """Writes the executable and the imported program; returns the files' names."""
        folder.mkdir(parents=True, exist_ok=True)
        saved, text = folder / "minilm.ix", folder / "minilm.mlir"
        self.programs[batch].executable.save(saved)
        text.write_text(self.function.lower(*self._arguments(batch)).as_text())
        return [str(saved), str(text)]

    def facts(self) -> dict[str, Any]:
        """Compile times, launches and memory, by batch size."""
        return self.known

    def _arguments(self, batch: int) -> list[np.ndarray]:
        return [np.zeros((batch, self.length), np.int64) for _ in range(2)]


class NumpyRuntime(Runtime):
    """The same code run by NumPy."""

    def open(self, batch: int) -> Embed:
        weights = minilm.load_weights()
        return lambda tokens, mask: minilm.embed(weights, tokens, mask)


class ReferenceRuntime(Runtime):
    """The same code in float64, each sentence without its padding."""

    def open(self, batch: int) -> Embed:
        weights = {
            name: array.astype(np.float64) if array.dtype == np.float32 else array
            for name, array in minilm.load_weights().items()
        }

        def embed(tokens: np.ndarray, mask: np.ndarray) -> np.ndarray:
            rows = []
            for ids, kept in zip(tokens, mask, strict=True):
                count = int(kept.sum())
                row = minilm.embed(weights, ids[None, :count], kept[None, :count])
                rows.append(row[0])
            return np.stack(rows)

        return embed


class TorchRuntime(Runtime):
    """PyTorch eager, with its own fused attention, layer norm and gelu."""

    def __init__(self, threads: int, length: int) -> None:
        super().__init__(threads, length)
        import torch

        torch.set_num_threads(threads)
        self.version = torch.__version__

    def open(self, batch: int) -> Embed:
        import torch

        from ix.tools.demo.torch_minilm import embed, tensors

        weights = tensors()

        def run(tokens: np.ndarray, mask: np.ndarray) -> np.ndarray:
            with torch.inference_mode():
                out = embed(
                    weights, torch.from_numpy(tokens), torch.from_numpy(mask)
                ).numpy()
            return np.asarray(out)

        return run

    def facts(self) -> dict[str, Any]:
        """Its version."""
        return {"version": self.version}


class OnnxRuntime(Runtime):
    """ONNX Runtime on what `torch.onnx` exports, all its optimisations on."""

    def open(self, batch: int) -> Embed:
        import onnxruntime

        from ix.tools.demo.torch_minilm import export_onnx

        self.version = onnxruntime.__version__
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.log_severity_level = 3
        with tempfile.TemporaryDirectory(prefix="ix-demo-") as folder:
            path = Path(folder) / "minilm.onnx"
            export_onnx(path, batch, self.length)
            session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )

        def run(tokens: np.ndarray, mask: np.ndarray) -> np.ndarray:
            return np.asarray(session.run(None, {"tokens": tokens, "mask": mask})[0])

        return run

    def facts(self) -> dict[str, Any]:
        """Its version."""
        return {"version": self.version}


RUNTIMES: dict[str, type[Runtime]] = {
    "ix": IxRuntime,
    "numpy": NumpyRuntime,
    "pytorch": TorchRuntime,
    "onnxruntime": OnnxRuntime,
    "reference": ReferenceRuntime,
}
