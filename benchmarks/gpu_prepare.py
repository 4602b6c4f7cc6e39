"""Compiles what `gpu.py` runs, on a machine without a GPU; see there.

Each program is saved for each target beside its inputs, its float64 results, and what
the emulator computed: its bits, and its counters.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from gpu_works import CHECKED, MEASURED, Work, as_float64

import ix

__all__ = ["MODEL", "TARGETS", "bits_are_defined", "prepare"]

TARGETS = ("sm_80", "sm_90a")
MODEL = "MiniLM-L6 b1 s16"

_UNDEFINED = re.compile(r"\.approx|\b(?:wg)?mma\b|\b(?:red|atom)\.\S*\.b?f(?:16|32|64)")
# Source: PTX ISA: approximations and matrix multiplications have error bounds only;
# the order of atomic additions is free.


def bits_are_defined(ptx: str) -> bool:
    """Whether the PTX ISA says each bit of what a kernel computes."""
    return not _UNDEFINED.search(ptx)


def prepare(
    folder: Path,
    *,
    names: Iterable[str] | None = None,
    rows: int = 1 << 14,
    emulate_model: bool = False,
) -> dict[str, Any]:
    """Fills a folder for `gpu.py`; returns what it wrote to manifest.json.

    Args:
        folder: Is made if it is not there.
        names: Works to take, of CHECKED and MEASURED, and MODEL; None: all.
        rows: Of the measured works' arrays.
        emulate_model: Whether the model runs on the emulator, too: minutes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    chosen = set(names if names is not None else (*CHECKED, *MEASURED, MODEL))
    checked = [
        _checked(folder, name, work) for name, work in CHECKED.items() if name in chosen
    ]
    if MODEL in chosen:
        checked.append(_model(folder, emulate_model))
    measured = [_measured(folder, n, rows) for n in MEASURED if n in chosen]
    manifest = {"checked": checked, "measured": measured}
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1))
    return manifest


def _checked(folder: Path, name: str, work: Work, emulate: bool = True) -> Any:
    rng = np.random.default_rng(list(name.encode()))
    inputs = work.inputs(rng)
    wanted = work.function(*as_float64(inputs))
    references = list(wanted) if isinstance(wanted, tuple) else [wanted]
    file = name.replace(" ", "_")
    _save(folder / f"{file}.inputs.npz", inputs)
    _save(folder / f"{file}.float64.npz", references)
    entry: dict[str, Any] = {
        "name": name,
        "file": file,
        "tolerance": work.tolerance,
        "targets": {},
    }
    for target in TARGETS:
        executable = _compiled(work.function, inputs, target)
        executable.save(folder / f"{file}.{target}.ix")
        code = b"".join(executable.objects[0::2]).decode()
        facts: dict[str, Any] = {
            "families": [kernel.family for kernel in executable.plan.kernels],
            "launches": len(executable.plan.launches),
            "bits": emulate and bits_are_defined(code),
        }
        if emulate:
            outputs = executable(*inputs)
            _save(folder / f"{file}.{target}.emulator.npz", outputs)
            facts["counters"] = [
                {"symbol": symbol, "counters": counts.as_dict()}
                for symbol, counts in executable.device.launches
            ]
        entry["targets"][target] = facts
    return entry


def _model(folder: Path, emulate: bool) -> Any:
    from ix.tools.demo.minilm import embed, load_weights

    weights = load_weights()
    exact = {name: np.asarray(w).astype(np.float64) for name, w in weights.items()}

    def inputs(rng: np.random.Generator) -> list[np.ndarray]:
        return [rng.integers(1000, 30000, (1, 16)), np.ones((1, 16), np.int64)]

    def function(tokens: Any, mask: Any) -> Any:
        is_numpy = isinstance(tokens, np.ndarray)
        return embed(exact if is_numpy else weights, tokens, mask)

    return _checked(folder, MODEL, Work(function, inputs, 1e-4), emulate)


def _measured(folder: Path, name: str, rows: int) -> Any:
    work = MEASURED[name]
    file = f"measured_{name.replace(' ', '_')}"
    shapes = [ix.ShapeDtype((rows, work.width), np.float32)] * work.inputs
    for target in TARGETS:
        executable = _compiled(work.function, shapes, target)
        executable.save(folder / f"{file}.{target}.ix")
    return {"name": name, "file": file, "rows": rows}


def _compiled(function: Any, inputs: list[Any], target: str) -> Any:
    jitted = ix.jit(function, target=target, device="emulator")
    return jitted.lower(*inputs).compile().executable


def _save(path: Path, arrays: list[np.ndarray]) -> None:
    np.savez(path, **{f"a{n}": array for n, array in enumerate(arrays)})
