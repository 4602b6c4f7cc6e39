"""The look-up of ALU instructions: spellings, errors, scalars, what ptxas takes."""

import itertools
import re
import shutil
import subprocess
from pathlib import Path

import alu_cases
import numpy as np
import pytest
from ptx_reference_bits import BITS
from ptx_reference_convert import CONVERT
from ptx_reference_float import FLOAT, is_float_type
from ptx_reference_integer import INTEGER

from ix.emulator import alu
from ix.emulator.errors import UnsupportedInstruction
from ix.emulator.ptx_types import bytes_of

APPROXIMATE = {"rcp", "sqrt", "rsqrt", "sin", "cos", "lg2", "ex2", "tanh", "div"}


def test_every_spelling_has_a_reference() -> None:
    for opcode, mods, _ in alu.spellings():
        if {"approx", "full"} & set(mods):
            assert opcode in APPROXIMATE
        elif opcode in ("setp", "set", "selp", "slct"):
            assert opcode in INTEGER
        elif is_float_type(mods[-1]) and opcode != "cvt":
            assert opcode in FLOAT, opcode
        else:
            assert opcode in INTEGER or opcode in BITS or opcode in CONVERT, opcode


def test_an_unknown_opcode_is_named() -> None:
    with pytest.raises(UnsupportedInstruction) as caught:
        alu.lookup("vadd4", ("s32", "s32", "s32"))
    assert str(caught.value) == (
        "'vadd4.s32.s32.s32' needs an opcode of the ALU, but 'vadd4' is none; "
        "correct the spelling"
    )


def test_a_modifier_out_of_order_is_refused() -> None:
    assert alu.lookup("neg", ("ftz", "f32")).sources == ("f32",)
    with pytest.raises(UnsupportedInstruction) as caught:
        alu.lookup("neg", ("f32", "ftz"))
    message = str(caught.value)
    assert message.startswith("'neg.f32.ftz' needs the modifiers of 'neg.s16|s32|s64'")
    assert "'neg{.ftz}.f32'" in message
    assert message.endswith(", in this order, but they are 'f32.ftz'; correct them")


def test_three_inputs_of_min_are_asked_for() -> None:
    two, three = alu.lookup("min", ("f32",)), alu.lookup("min", ("f32",), 3)
    assert (len(two.sources), len(three.sources)) == (2, 3)
    with pytest.raises(UnsupportedInstruction):
        alu.lookup("min", ("xorsign", "abs", "f32"), 3)


@pytest.mark.parametrize("opcode", sorted(alu.opcodes() - {"lop3"}))
def test_scalars_stand_for_all_threads(opcode: str) -> None:
    every = alu_cases.spellings(opcode)
    for mods, inputs in every[:: max(1, len(every) // 40)]:
        operation = alu.lookup(opcode, mods, inputs)
        columns = [c[-9:] for c in alu_cases.operands(operation.sources, 9, opcode)]
        if opcode == "fns":
            columns[1] = [base & 31 for base in columns[1]]
        scalar = np.random.default_rng().integers(0, 2, len(columns)).astype(bool)
        repeated = [
            [c[0]] * 9 if one else c for c, one in zip(columns, scalar, strict=True)
        ]
        arrays = [
            alu_cases.values_of(c, t)
            for c, t in zip(columns, operation.sources, strict=True)
        ]
        given = [a[0] if one else a for a, one in zip(arrays, scalar, strict=True)]
        with np.errstate(all="ignore"):
            found = operation.function(*given)
        results = found if isinstance(found, tuple) else (found,)
        bits = [
            alu_cases.bits_of_result(r, t, 9)
            for r, t in zip(results, operation.results, strict=True)
        ]
        assert bits == alu_cases.evaluate(opcode, mods, inputs, repeated), mods


def register_type(name: str) -> str:
    """The type of a register that may hold a value."""
    if name in ("pred", "f32", "f64"):
        return name
    return f"b{8 * bytes_of(name)}"


def instruction(opcode: str, mods: tuple[str, ...], inputs: int | None) -> str:
    """PTX with registers and one instruction."""
    operation = alu.lookup(opcode, mods, inputs)
    sources = [(f"%s{i}", t) for i, t in enumerate(operation.sources)]
    results = [(f"%d{i}", t) for i, t in enumerate(operation.results)]
    declared = "".join(
        f".reg .{register_type(t)} {name}; " for name, t in sources + results
    )
    names = [name for name, _ in sources]
    if opcode == "lop3":
        names[3] = "26"
    if opcode in ("addc", "subc", "madc"):
        del names[-1]
    written = "|".join(name for name, _ in results)
    if "cc" in mods:
        written = results[0][0]
    return f"{declared}{'.'.join((opcode, *mods))} {written}, {', '.join(names)};"


@pytest.mark.skipif(not shutil.which("ptxas"), reason="needs ptxas on the path")
def test_ptxas_takes_every_spelling(tmp_path: Path) -> None:
    lines = [".version 8.8", ".target sm_100a", ".address_size 64"]
    # One kernel an opcode: ptxas spends its time on kernels, not on instructions.
    for opcode, spellings in itertools.groupby(alu.spellings(), lambda s: s[0]):
        lines.append(f".visible .entry of_{opcode}() {{")
        lines += [f"{{ {instruction(*spelling)} }}" for spelling in spellings]
        lines.append("ret; }")
    source = tmp_path / "every.ptx"
    source.write_text("\n".join(lines) + "\n")
    done = subprocess.run(
        [
            "ptxas",
            "-arch",
            "sm_100a",
            "-O0",
            "-o",
            str(tmp_path / "cubin"),
            str(source),
        ],
        capture_output=True,
        text=True,
    )
    refused = {int(n) for n in re.findall(r"line (\d+); error", done.stderr)}
    assert not refused, [lines[n - 1] for n in sorted(refused)[:5]]
    assert done.returncode == 0, done.stderr[:500]
