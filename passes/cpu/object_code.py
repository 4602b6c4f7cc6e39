"""LLVM IR → a relocatable x86-64 object, in memory.

Level 0 runs no LLVM pass, only instruction selection and register allocation: code
that is built as vector ops gains nothing from passes, and they double its compile
time. Level 3 pays for scalar loops and for short rows; a function asks for it with
the attribute "ix-opt-level"="3" while its neighbours stay at 0.

Code is position independent and in the small code model: calls that leave the object
go through stubs of the loader (`ix.runtime.elf`), however far away libc is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import llvmlite.binding as llvmlite

from ix.errors import CompileError
from ix.passes.cpu.soft_float import soft_float_ir
from ix.target import Target

__all__ = ["assembly", "compile_object"]

OPT_LEVEL = "ix-opt-level"


def compile_object(llvm_ir: str, target: Target, *, level: int = 0) -> bytes:
    """Compiles a module to an ELF object; the same text gives the same bytes.

    Args:
        llvm_ir: What `to_llvm_ir` returns, or text that LLVM 22 reads.
        target: A CPU.
        level: 0 or 3, for the functions that do not ask for a level themselves.

    Raises:
        CompileError: LLVM does not accept the text, or the target is not a CPU.
    """
    machine = _machine(target)
    compiled = bytes(machine.emit_object(_optimized(llvm_ir, target, machine, level)))
    support = soft_float_ir(compiled)
    if not support:
        return compiled
    # From the text again: emitting has changed the module.
    return bytes(
        machine.emit_object(_optimized(llvm_ir, target, machine, level, support))
    )


def assembly(llvm_ir: str, target: Target, level: int = 0) -> str:
    """The assembly of what `compile_object` compiles, in AT&T syntax."""
    machine = _machine(target)
    return str(machine.emit_assembly(_optimized(llvm_ir, target, machine, level)))


def _machine(target: Target) -> Any:
    if target.kind != "cpu":
        raise CompileError(
            None,
            f"native code needs a cpu target, but the target is {target.name}; "
            f"compile with target='cpu'",
        )
    llvmlite.initialize_all_targets()
    llvmlite.initialize_all_asmprinters()
    return llvmlite.Target.from_triple(target.triple).create_target_machine(
        cpu=target.cpu,
        features=",".join(f"+{feature}" for feature in target.features),
        opt=3,
        reloc="pic",
        codemodel="small",
    )


def _optimized(
    llvm_ir: str, target: Target, machine: Any, level: int, support: str = ""
) -> Any:
    """The module after the passes that its functions ask for, with `support` added."""
    if level not in (0, 3):
        raise CompileError(
            None, f"level needs to be 0 or 3, but it is {level}; use 0 for kernels"
        )
    text = _with_attributes(llvm_ir, target.tune)
    # A context of its own: its types are freed with the module.
    context = llvmlite.create_context()
    module = _parse(text, machine, context)
    asks = f'"{OPT_LEVEL}"="3"'.encode()
    fast = [
        function.name
        for function in module.functions
        if not function.is_declaration
        and any(asks in attributes for attributes in function.attributes)
    ]
    if level == 3:
        _run_passes(module, machine)
    elif fast:
        _optimize_some(module, _parse(text, machine, context), machine, set(fast))
    if support:
        text = _with_attributes(support, target.tune)
        module.link_in(_parse(text, machine, context))
    return module


def _parse(text: str, machine: Any, context: Any) -> Any:
    try:
        module = llvmlite.parse_assembly(text, context)
        module.verify()
    except RuntimeError as error:
        raise CompileError(None, _explain(str(error), text)) from error
    module.triple = machine.triple
    module.data_layout = str(machine.target_data)
    return module


def _explain(message: str, text: str) -> str:
    """LLVM's own words and the line that they are about."""
    found = re.search(r"<string>:(\d+):(\d+): error: (.*)", message)
    if found is None:
        return f"LLVM needs a valid module, but found: {message.strip()}"
    line = text.splitlines()[int(found[1]) - 1].strip()
    return (
        f"LLVM needs IR that it can read, but line {found[1]} is `{line}` "
        f"({found[3]}); the text comes from the pass before, or from another LLVM"
    )


def _with_attributes(llvm_ir: str, tune: str) -> str:
    """Adds to every definition what MLIR does not say: it never unwinds; the core."""
    added = f' nounwind "tune-cpu"="{tune}"'
    pieces, done = [], 0
    for match in re.finditer(r"^define\b", llvm_ir, re.MULTILINE):
        at = _end_of_parameters(llvm_ir, match.end())
        pieces += [llvm_ir[done:at], added]
        done = at
    return "".join(pieces) + llvm_ir[done:]


def _end_of_parameters(text: str, start: int) -> int:
    """Where function attributes may begin: behind the parameters of a definition.

    The name comes directly before them, and types, names and attributes before and
    among them may have parentheses of their own.
    """
    parameters = re.compile(r'@(?:[-\w.$]+|"[^"]*")\(').search(text, start)
    assert parameters is not None, "a definition has a name"
    depth = 1
    for token in re.compile(r'"[^"]*"|[()]').finditer(text, parameters.end()):
        depth += {"(": 1, ")": -1}.get(token[0], 0)
        if depth == 0:
            break
    behind = re.compile(r"\s*(?:local_)?unnamed_addr").match(text, token.end())
    return behind.end() if behind else token.end()


def _run_passes(module: Any, machine: Any) -> None:
    options = llvmlite.create_pipeline_tuning_options(speed_level=3)
    builder = llvmlite.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)


def _optimize_some(module: Any, other: Any, machine: Any, fast: set[str]) -> None:
    """Runs the passes on the functions named in `fast`.

    The module and its copy `other` own half of the definitions each, and see the rest
    as `available_externally`: to inline from, never to emit. Linking joins them.
    """
    locals_ = _promote_locals(module)
    _promote_locals(other)
    for value in _definitions(module):
        if value.name in fast:
            value.linkage = "available_externally"
    for value in _definitions(other):
        if value.name not in fast:
            value.linkage = "available_externally"
    _run_passes(other, machine)
    module.link_in(other)
    for value in _definitions(module):
        if value.name in locals_:
            value.visibility = "default"
            value.linkage = locals_[value.name]
    module.verify()


def _promote_locals(module: Any) -> dict[str, Any]:
    """Makes local definitions visible to the other copy; returns their linkage."""
    linkage = {}
    for value in _definitions(module):
        if value.linkage in (llvmlite.Linkage.internal, llvmlite.Linkage.private):
            if not value.name:
                raise CompileError(
                    None,
                    f"a module that mixes levels ({OPT_LEVEL}) needs a name for every "
                    f"global, but has {str(value).splitlines()[0]!r}; name it",
                )
            linkage[value.name] = value.linkage
            value.linkage = "external"
            value.visibility = "hidden"
    return linkage


def _definitions(module: Any) -> Iterator[Any]:
    for value in (*module.functions, *module.global_variables):
        if not value.is_declaration:
            yield value
