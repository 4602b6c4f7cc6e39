"""ix ops in MLIR text → a program.

The entry is `@main`; its arguments carry `ix.name` and `ix.dims`, the module carries
the bounds of the dimensions as `ix.dims`. `ix.parameter` ops read a .safetensors file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ix.dialects import context
from ix.dialects.ix.shapes import numpy_dtype
from ix.dim import Dim
from ix.errors import InputError, ModelImportError
from ix.importer.program import Program
from ix.importer.safetensors import read_safetensors
from ix.importer.weights import Weights
from ix.mlir import ir, ops_in

__all__ = ["import_mlir"]


def import_mlir(path: Path, weights: Path | None = None) -> Program:
    """Reads a module of ix ops.

    Args:
        path: The text, or bytecode; its entry is @main.
        weights: A .safetensors file with an array for each ix.parameter; None: the one
            beside the text that has its name, where the text has parameters.

    Raises:
        ModelImportError: A file cannot be read, the module does not verify or is not
            of ix ops, or a parameter is missing or of another type.
    """
    module = _parsed(path)
    main = _main_of(module, path)
    kind = main.type
    inputs, dims = (
        _names(main, "arg", "arg_attrs", len(kind.inputs)),
        _dims(module, path),
    )
    outputs = _names(main, "out", "res_attrs", len(kind.results))
    _check_ops(main, path)
    table = _weights(module, path, weights)
    return Program(module, table, inputs, outputs, None, None, dims)


def _parsed(path: Path) -> Any:
    try:
        path.open("rb").close()
    except OSError as error:
        raise ModelImportError(
            f"'{path}' needs to be a readable file, but {error.strerror}"
        ) from error
    try:
        with context():
            return ir.Module.parseFile(str(path))  # locations name the file
    except ir.MLIRError as error:
        detail = str(error).replace(f'"{path}":', f"{path}:")
        raise ModelImportError(
            f"'{path}' needs to be a valid MLIR module, but it is not; {detail}"
        ) from error


def _main_of(module: Any, path: Path) -> Any:
    found = []
    for op in module.body.operations:
        if op.operation.name == "func.func" and op.operation.regions[0].blocks:
            found.append(ir.StringAttr(op.operation.attributes["sym_name"]).value)
            if found[-1] == "main":
                return op.operation.opview
    has = f"only {', '.join('@' + name for name in found)}" if found else "no function"
    raise ModelImportError(
        f"'{path}' needs a function @main with a body, but has {has}; rename the entry"
    )


def _check_ops(main: Any, path: Path) -> None:
    """Whole-tensor programs alone: an entry of other ops belongs to a later stage."""
    for value in (*main.entry_block.arguments, *_results(main)):
        if not isinstance(value.type, ir.RankedTensorType):
            raise ModelImportError(
                f"'{path}' needs ranked tensors as arguments and results of @main, but "
                f"one is {value.type}"
            )
    foreign = {
        op.operation.name
        for op in ops_in(main)
        if op.operation.name.partition(".")[0] not in ("ix", "arith", "func")
    }
    if foreign:
        raise ModelImportError(
            f"'{path}' needs a @main of ix ops, but has {', '.join(sorted(foreign))}; "
            "pass the text of the import stage, or use ix-opt for later ones"
        )


def _results(main: Any) -> list[Any]:
    operations = main.entry_block.operations
    return list(operations[len(operations) - 1].operation.operands)


def _names(main: Any, prefix: str, key: str, count: int) -> list[str]:
    """`ix.name` of each argument or result; made up where there is none."""
    names = [f"{prefix}{number}" for number in range(count)]
    if key in main.operation.attributes:
        for number, entry in enumerate(ir.ArrayAttr(main.operation.attributes[key])):
            if "ix.name" in ir.DictAttr(entry):
                names[number] = ir.StringAttr(ir.DictAttr(entry)["ix.name"]).value
    return names


def _dims(module: Any, path: Path) -> dict[str, Dim]:
    if "ix.dims" not in module.operation.attributes:
        return {}
    dims = {}
    try:
        table = ir.DictAttr(module.operation.attributes["ix.dims"])
        for number in range(len(table)):
            name = table[number].name
            low, high = (
                ir.IntegerAttr(each).value for each in ir.ArrayAttr(table[number].attr)
            )
            dims[name] = Dim(name, low, high)
    except (ValueError, TypeError, InputError) as error:
        raise ModelImportError(
            f"'{path}' needs ix.dims = {{name = [low, high], …}}, but {error}"
        ) from error
    return dims


def _weights(module: Any, path: Path, given: Path | None) -> Weights:
    """The arrays of the parameters that the module reads."""
    table = Weights()
    types = {
        ir.StringAttr(op.operation.attributes["name"]).value: op.operation.results[
            0
        ].type
        for op in ops_in(module)
        if op.operation.name == "ix.parameter"
    }
    if not types:
        return table
    file = given or path.with_suffix(".safetensors")
    arrays = read_safetensors(file)
    missing = [name for name in types if name not in arrays]
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise ModelImportError(
            f"'{file}' needs an array for each parameter of '{path}', but lacks "
            f"{', '.join(missing[:3])}{more}"
        )
    for name, type_ in types.items():
        array, dtype = arrays[name], numpy_dtype(type_.element_type)
        if array.shape != tuple(type_.shape) or array.dtype != dtype:
            raise ModelImportError(
                f"parameter '{name}' needs {type_}, but '{file}' has "
                f"{array.dtype.name}{list(array.shape)}"
            )
        table.add(array, name)
    return table
