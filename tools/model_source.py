"""A model named on a command line → an executable.

model.ix            saved by ix
model.onnx          ONNX
model.mlir          ix ops in MLIR text
model.pt2           torch.export.save; with --trust, as it may hold pickled code
file.py:function    a NumPy-style function; --input gives its shapes
"""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ix
from ix.errors import InputError
from ix.runtime.executable import Executable
from ix.tools.tensor_text import Spec, parse_spec

__all__ = ["add_model_arguments", "compile_model", "open_model", "read_program"]


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that say which model, for what."""
    parser.add_argument(
        "model", help="model.ix, model.onnx, model.mlir, model.pt2 or file.py:function"
    )
    parser.add_argument(
        "--target",
        default="cpu",
        help="cpu (this machine), cpu:avx2, cpu:generic …; sm_80, sm_90a … for a GPU",
    )
    parser.add_argument(
        "--device",
        help="cpu, cuda, cuda:1 … or emulator; default: cpu, or cuda for a GPU target",
    )
    parser.add_argument("--threads", type=int, metavar="N", help="threads of one call")
    parser.add_argument(
        "--input",
        action="append",
        default=[],
        metavar="[NAME:]SPEC",
        help="2x3xf32 (random), 2x3xf32=0.5 (filled), 2x3xf32=1,2,… or @file.npy; "
        "once for each input, in order",
    )
    parser.add_argument(
        "--dim",
        action="append",
        default=[],
        metavar="NAME=SIZE or NAME=LOW:HIGH",
        help="size, or bounds, of a dynamic dimension of an ONNX model",
    )
    parser.add_argument(
        "--weights",
        metavar="FILE",
        help=".safetensors with the parameters of model.mlir; default: beside it",
    )
    parser.add_argument(
        "--no-cache", action="store_true", help="neither read nor write the disk cache"
    )
    parser.add_argument(
        "--trust", action="store_true", help="read model.pt2, which may hold code"
    )


def open_model(options: argparse.Namespace) -> tuple[Executable, list[Spec]]:
    """Compiles or loads the model.

    Returns:
        The executable, and what was given for its inputs.

    Raises:
        IxError: The model cannot be read or compiled.
    """
    program, specs = read_program(options)
    if program is None:
        loaded = ix.load(
            options.model, num_threads=options.threads, device=options.device
        )
        return loaded, specs
    return _compiled(program, options, options.device), specs


def compile_model(options: argparse.Namespace) -> Executable:
    """Compiles or loads the model to save or to explain it: no GPU is needed for that.

    Raises:
        IxError: The model cannot be read or compiled.
    """
    device = options.device or "none"
    program, _ = read_program(options)
    if program is None:
        return ix.load(options.model, num_threads=options.threads, device=device)
    return _compiled(program, options, device)


def read_program(options: argparse.Namespace) -> tuple[Any, list[Spec]]:
    """Imports the model.

    Returns:
        The program, None for a saved executable; and what was given for its inputs.

    Raises:
        IxError: The model cannot be read.
    """
    specs = [parse_spec(text) for text in options.input]
    if options.threads is not None and options.threads < 1:
        raise InputError(f"--threads needs to be at least 1, but is {options.threads}")
    name = options.model
    path, _, function = name.rpartition(":")
    if function and path.endswith(".py"):
        return _from_python(Path(path), function, specs), specs
    suffix = Path(name).suffix.lower()
    if suffix not in (".ix", ".onnx", ".mlir", ".pt2"):
        raise InputError(
            f"'{name}' needs to be a model that ix knows by its name, but it ends in "
            f"'{suffix}'; pass model.ix, model.onnx, model.mlir or file.py:function"
        )
    if not Path(name).is_file():
        raise InputError(
            f"'{name}' needs to be a file, but there is none; check the path"
        )
    if suffix == ".ix":
        return None, specs
    return _program(name, suffix, options, specs), specs


def _compiled(
    program: Any, options: argparse.Namespace, device: str | None
) -> Executable:
    from ix.compiler import compile_program

    return compile_program(
        program,
        options.target,
        num_threads=options.threads,
        cache=not options.no_cache,
        device=device,
    )


def _program(
    name: str, suffix: str, options: argparse.Namespace, specs: Sequence[Spec]
) -> Any:
    if suffix == ".mlir":
        from ix.importer.mlir_text import import_mlir

        weights = Path(options.weights) if options.weights else None
        return import_mlir(Path(name), weights)
    if suffix == ".pt2":
        from ix.importer.torch_export import import_exported
        from ix.models import load_exported

        exported = load_exported(Path(name), trust=options.trust)
        return import_exported(exported, Path(name).stem).program
    from ix.importer.onnx import import_onnx, load_model

    model = load_model(name)
    return import_onnx(model, dims=_dims(options.dim), **_shapes(specs))


def _shapes(specs: Sequence[Spec]) -> dict[str, Any]:
    named = {spec.name: spec.shape for spec in specs if spec.name}
    return {"shapes": named} if named else {}


def _dims(texts: Sequence[str]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        low, colon, high = value.partition(":")
        if not equals or not low.isdecimal() or (colon and not high.isdecimal()):
            raise InputError(
                f"--dim needs NAME=SIZE or NAME=LOW:HIGH, but got '{text}'; for "
                "example --dim batch=1:64"
            )
        result[name] = (int(low), int(high)) if colon else int(low)
    return result


def _from_python(path: Path, function: str, specs: Sequence[Spec]) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise InputError(f"'{path}' needs to be a Python file, but there is none")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise InputError(
            f"'{path}' needs to be a Python file that runs, but it raises "
            f"{type(error).__name__}: {error}"
        ) from error
    if not hasattr(module, function):
        raise InputError(
            f"'{path}' needs a function '{function}', but has none; its names are "
            f"{', '.join(n for n in vars(module) if not n.startswith('_'))}"
        )
    if not specs:
        raise InputError(
            f"'{path}:{function}' needs --input once for each argument, but got none; "
            "for example --input 2x3xf32"
        )
    found = getattr(module, function)
    jitted = found if hasattr(found, "lower") else ix.jit(found)
    arrays = [each.array(0) for each in specs]
    return jitted.lower(*arrays).program
