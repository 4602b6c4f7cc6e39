"""ix-opt in this process: what lit cannot plant, and the lists that must be true."""

import io
from pathlib import Path
from typing import Any

import pytest

from ix.dialects import context as make_context
from ix.errors import CompileError
from ix.mlir import PassManager, func, ir, ops_in
from ix.passes import registry
from ix.passes.framework import Pass, module_pass
from ix.tools import ix_opt
from ix.tools.ix_size import code_lines
from ix.tools.ix_size import main as ix_size
from ix.tools.source_file import Chunk, parse_chunk, read_chunks
from ix.tools.upstream import UPSTREAM_DIALECTS, UPSTREAM_PASSES

SOURCE = """// first line
func.func @f(%x: f32) -> f32 {
  return %x : f32
}
"""


@module_pass("ix-planted-bug")
def planted_bug(module: ir.OpView, *, tile: int = 4) -> None:
    """Fails as no pass should."""
    raise KeyError("oops")


@module_pass("ix-refuses")
def refuses(module: ir.OpView) -> None:
    """Fails as a pass may."""
    for op in ops_in(module, func.ReturnOp):
        raise CompileError(op, "needs two operands, but has 1; return another")


@module_pass("ix-breaks")
def breaks(module: ir.OpView) -> None:
    """Leaves invalid IR behind."""
    for op in ops_in(module, func.ReturnOp):
        op.operation.erase()


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The path of a file, while ix-opt knows the passes above."""
    planted = {each.name: each for each in (planted_bug, refuses, breaks)}

    def find(name: str) -> Pass | None:
        return planted.get(name)

    monkeypatch.setattr(registry, "find_pass", find)
    path = tmp_path / "in.mlir"
    path.write_text(SOURCE)
    return str(path)


def test_a_bug_of_a_pass_says_how_to_replay_it(source: str, capsys: Any) -> None:
    assert ix_opt.main([source, "-p", "cse,ix-planted-bug{tile=8}"]) == 1
    shown = capsys.readouterr().err
    assert "pass 'ix-planted-bug{tile=8}' raised KeyError: 'oops'" in shown
    assert f"ix-opt {source} -p 'cse,ix-planted-bug{{tile=8}}' --debug" in shown
    assert "Traceback" not in shown


def test_debug_shows_the_traceback(source: str, capsys: Any) -> None:
    assert ix_opt.main([source, "--ix-planted-bug", "--debug"]) == 1
    shown = capsys.readouterr().err
    assert "Traceback (most recent call last)" in shown
    assert "while running the pass 'ix-planted-bug'" in shown


def test_a_refusal_is_a_diagnostic_with_its_source_line(
    source: str, capsys: Any
) -> None:
    assert ix_opt.main([source, "--ix-refuses"]) == 1
    shown = capsys.readouterr()
    assert shown.err.splitlines() == [
        f"{source}:3:3: error: 'func.return' needs two operands, but has 1; return another",
        "  return %x : f32",
        "  ^",
    ]
    assert shown.out == ""


def test_expected_diagnostics_cover_what_passes_raise(source: str) -> None:
    expected = SOURCE.replace(
        "  return",
        "  // expected-error @below {{'func.return' needs two operands}}\n  return",
    )
    Path(source).write_text(expected)
    assert ix_opt.main([source, "--ix-refuses", "--verify-diagnostics"]) == 0
    assert ix_opt.main([source, "--verify-diagnostics"]) == 1


def test_invalid_ir_names_the_pass(source: str, capsys: Any) -> None:
    assert ix_opt.main([source, "-p", "ix-breaks"]) == 1
    shown = capsys.readouterr().err
    assert f"{source}:2:1: error: " in shown
    assert "the IR is not valid after 'ix-breaks'" in shown


def test_verify_each_can_be_turned_off(source: str, capsys: Any) -> None:
    assert ix_opt.main([source, "-p", "ix-breaks", "--verify-each=false"]) == 0
    assert '"func.func"()' in capsys.readouterr().out  # invalid: the generic form
    assert ix_opt.main([source, "--verify-each=maybe"]) == 1
    assert (
        "ix-opt: error: argument --verify-each: needs true or false"
        in capsys.readouterr().err
    )


def test_a_missing_pass_suggests_the_nearest(
    source: str, capsys: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(registry, "_pass_files", lambda: [("graph", "refuses")])
    assert ix_opt.main([source, "-p", "ix-refuse"]) == 1
    assert (
        "there is no pass 'ix-refuse'; did you mean 'ix-refuses'?"
        in capsys.readouterr().err
    )


def test_the_upstream_lists_are_true() -> None:
    with make_context() as context:
        for name in UPSTREAM_PASSES:
            PassManager("any").add(name)
        for name in UPSTREAM_DIALECTS:
            context.get_dialect_descriptor(name)


def test_chunks_keep_the_lines_of_the_file() -> None:
    text = "a\n// -----\nb\nc\n// -----\n"
    chunks = read_chunks(text.encode(), "// -----")
    assert chunks == [Chunk("a\n", 0), Chunk("b\nc\n", 2), Chunk("", 5)]
    assert read_chunks(text.encode(), None) == [Chunk(text, 0)]
    assert read_chunks(b"ML\xefR// -----", "// -----") == [Chunk(b"ML\xefR// -----", 0)]


def test_every_location_names_the_file() -> None:
    text = """#alias = loc("alias")
func.func @f(%x: f32, %y: f32 loc("y"("other":1:2))) -> f32 {
  %0 = arith.addf %x, %y : f32 loc(fused<"why">[#alias, callsite("callee" at "z":3:4)])
  return %0 : f32
}"""
    op = parse_chunk(Chunk(text, 10), "file.mlir", make_context())
    shown = op.get_asm(enable_debug_info=True, use_local_scope=True)
    assert '"-"' not in shown
    assert 'loc("file.mlir":14:3)' in shown
    assert 'loc("file.mlir":12:14)' in shown  # the argument %x
    assert 'loc("y"("other":1:2))' in shown
    assert 'loc(fused<"why">["alias", callsite("callee" at "z":3:4)])' in shown


def test_an_output_file_appears_whole_or_not_at_all(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out.mlir"
    output.write_text("earlier")

    def fail(*_: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    assert ix_opt.main([source, "-o", str(output)]) == 1
    assert output.read_text() == "earlier"
    assert {path.name for path in tmp_path.iterdir()} == {"in.mlir", "out.mlir"}


def test_text_that_is_not_utf8_is_refused(source: str, capsys: Any) -> None:
    Path(source).write_bytes(b"\xff\xfe\x00")
    assert ix_opt.main([source]) == 1
    assert "ix-opt: error: 'utf-8' codec" in capsys.readouterr().err


def test_size_counts_code_only(tmp_path: Path, capsys: Any) -> None:
    file = tmp_path / "x.py"
    file.write_text(
        '"""Docs\n\nmore docs."""\n\n# why\nx = [\n    1,  # one\n]\n\n\ndef f():\n    """Docs."""\n    return """a\nb"""\n'
    )
    assert code_lines(file) == 6
    assert ix_size([str(file), "--max", "6", "--budget", "6"]) == 0
    assert ix_size([str(file), "--max", "5"]) == 1
    assert ix_size([str(file), "--budget", "5"]) == 1
    assert ix_size([str(tmp_path / "none")]) == 1
    assert "the limit is 5; split it" in capsys.readouterr().err


def test_standard_input_is_read_as_bytes(
    source: str, monkeypatch: Any, capfdbinary: Any
) -> None:
    class Stdin:
        buffer = io.BytesIO(SOURCE.encode())

    monkeypatch.setattr("sys.stdin", Stdin)
    assert ix_opt.main(["--emit-bytecode"]) == 0
    assert capfdbinary.readouterr().out.startswith(b"ML\xefR")
