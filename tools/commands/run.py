"""`ix run model.ix --input 1x3xf32=… --expected-output @want.npy`"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np

from ix.errors import InputError
from ix.runtime.executable import Executable
from ix.runtime.plan import Tensor
from ix.tools.model_source import add_model_arguments, open_model
from ix.tools.output_file import add_json_argument, naming_the_file, write_json
from ix.tools.tensor_text import Spec, parse_spec, random_array

__all__ = ["add", "inputs_for", "run"]


def add(parser: argparse.ArgumentParser) -> None:
    """The verb's own arguments."""
    add_model_arguments(parser)
    parser.add_argument("--seed", type=int, default=0, help="of random inputs")
    parser.add_argument(
        "--output",
        action="append",
        default=[],
        metavar="@FILE",
        help="write an output to a .npy file; once for each, in order",
    )
    parser.add_argument(
        "--expected-output",
        action="append",
        default=[],
        metavar="SPEC",
        help="2x3xf32=… or @file.npy; once for each output, in order",
    )
    add_json_argument(parser, "the outputs")
    parser.add_argument("--rtol", type=float, default=1e-4, help="relative tolerance")
    parser.add_argument("--atol", type=float, default=1e-5, help="absolute tolerance")


def run(options: argparse.Namespace) -> int:
    """Runs once; prints the outputs, or compares them. Returns 1 where one differs."""
    expected = [parse_spec(text) for text in options.expected_output]
    executable, specs = open_model(options)
    outputs = executable.run_flat(inputs_for(executable, specs, options.seed))
    _write(outputs, options.output)
    if options.json:
        write_json(_as_data(executable, outputs), options.json)
    if not expected and options.json == "-":
        return 0
    if not expected:
        for tensor, output in zip(executable.plan.outputs, outputs, strict=True):
            shape = "x".join(map(str, output.shape))
            print(f"{tensor.name}: {shape}x{output.dtype.name}")
            print(np.array2string(output, threshold=64, edgeitems=3))
        return 0
    if len(expected) != len(outputs):
        raise InputError(
            f"--expected-output needs to be given {len(outputs)} times, once for each "
            f"output, but was {len(expected)} times"
        )
    same = [
        _compare(tensor, output, spec, options)
        for tensor, output, spec in zip(
            executable.plan.outputs, outputs, expected, strict=True
        )
    ]
    return 0 if all(same) else 1


def inputs_for(
    executable: Executable, specs: Sequence[Spec], seed: int
) -> list[np.ndarray]:
    """An array for each input: what was given, else random values.

    Raises:
        InputError: A dynamic input has no shape, or a name is not the model's.
    """
    plan = executable.plan
    names = [tensor.name for tensor in plan.inputs]
    named = {spec.name: spec for spec in specs if spec.name}
    unknown = [name for name in named if name not in names]
    if unknown:
        raise InputError(
            f"input '{unknown[0]}' needs to be one of the model's ({', '.join(names)})"
        )
    positional = [spec for spec in specs if not spec.name]
    if len(positional) > len(names):
        raise InputError(
            f"the model needs {len(names)} inputs ({', '.join(names)}), but got "
            f"{len(positional)}"
        )
    arrays = []
    for number, tensor in enumerate(plan.inputs):
        spec = named.get(tensor.name)
        if spec is None and number < len(positional):
            spec = positional[number]
        arrays.append(_input(tensor, spec, seed + number))
    return arrays


def _input(tensor: Tensor, spec: Spec | None, seed: int) -> np.ndarray:
    if spec is not None:
        return spec.array(seed)
    shape = [size for size in tensor.shape if isinstance(size, int)]
    if len(shape) != len(tensor.shape):
        raise InputError(
            f"input '{tensor.name}' has dynamic dimensions; give its shape with "
            f"--input {tensor.name}:2x3xf32"
        )
    return random_array(tuple(shape), tensor.dtype, seed)


def _as_data(
    executable: Executable, outputs: Sequence[np.ndarray]
) -> list[dict[str, Any]]:
    """The outputs as plain data, values row by row."""
    return [
        {
            "name": tensor.name,
            "dtype": output.dtype.name,
            "shape": list(output.shape),
            "values": _numbers(output),
        }
        for tensor, output in zip(executable.plan.outputs, outputs, strict=True)
    ]


def _numbers(output: np.ndarray) -> list[Any]:
    """The values as JSON has them: what is not finite as text."""
    if output.dtype.kind in "iub":
        return output.reshape(-1).tolist()
    return [
        value if np.isfinite(value) else str(value)
        for value in output.reshape(-1).astype(np.float64).tolist()
    ]


def _write(outputs: Sequence[np.ndarray], paths: Sequence[str]) -> None:
    if len(paths) > len(outputs):
        raise InputError(
            f"--output needs to be given at most {len(outputs)} times, but was "
            f"{len(paths)} times"
        )
    for output, path in zip(outputs, paths, strict=False):
        file = path.removeprefix("@")
        with naming_the_file("--output", file), open(file, "wb") as stream:
            np.save(stream, output, allow_pickle=False)


def _compare(
    tensor: Tensor, output: np.ndarray, spec: Spec, options: argparse.Namespace
) -> bool:
    want = spec.array(0)
    if want.shape != output.shape:
        print(f"{tensor.name}: FAIL, shape {output.shape}, expected {want.shape}")
        return False
    got, exact = output.astype(np.float64), want.astype(np.float64)
    close = np.isclose(got, exact, options.rtol, options.atol, equal_nan=True)
    with np.errstate(all="ignore"):
        difference = np.nanmax(np.abs(got - exact), initial=0.0)
    verdict = "ok" if close.all() else f"FAIL, {int((~close).sum())} elements differ"
    print(f"{tensor.name}: {verdict}, largest difference {difference:.3g}")
    return bool(close.all())
