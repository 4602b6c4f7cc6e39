"""The pass framework: passes, errors, options, pipelines."""

import re
from typing import Any

import pytest

from ix.dialects import context as make_context
from ix.errors import CompileError, InputError
from ix.mlir import arith, func, ir, ops_in
from ix.passes import pipeline
from ix.passes.framework import (
    Instrumentation,
    Pass,
    Stage,
    module_pass,
    rewrite_pass,
    run_passes,
)
from ix.passes.instrumentation import ALL
from ix.passes.pipeline_text import join, parse_options, parse_pipeline


def parse(text: str) -> Any:
    """A module in a context of its own."""
    with make_context():
        return ir.Module.parse(text)


def names(module: Any) -> list[str]:
    """The names of the ops of a module in program order."""
    return [op.operation.name for op in ops_in(module)]


@pytest.mark.parametrize(
    ("location", "text"),
    [
        ('loc("f.py":3:4)', "f.py:3:4: error: 'arith.addf' needs"),
        (
            'loc("layer/Add"("f.py":3:4))',
            "f.py:3:4: error: 'arith.addf' of 'layer/Add' needs",
        ),
        ('loc("layer/Add")', "layer/Add: error: 'arith.addf' needs"),
        ('loc(fused[unknown, "f.py":3:4])', "f.py:3:4: error: 'arith.addf' needs"),
        (
            'loc(callsite("f.py":3:4 at "g.py":5:6))',
            "f.py:3:4: error: 'arith.addf' needs",
        ),
        ("loc(unknown)", "<unknown>: error: 'arith.addf' needs"),
    ],
)
def test_an_error_leads_with_the_place_and_the_source_op(
    location: str, text: str
) -> None:
    module = parse(f"""func.func @f(%x: f32) -> f32 {{
      %0 = arith.addf %x, %x : f32 {location}
      return %0 : f32
    }}""")
    (op,) = ops_in(module, arith.AddFOp)
    assert str(CompileError(op, "needs more")).startswith(text)


@module_pass("ix-note-options")
def note_options(
    module: ir.OpView,
    *,
    count: int = 4,
    scale: float = 1.0,
    name: str = "x",
    loud: bool = False,
    sizes: list[int] = [1, 2],  # noqa: B006
    only: str | None = None,
) -> None:
    """Notes its options on the module."""
    noted = f"{count} {scale} {name} {loud} {list(sizes)} {only}"
    module.attributes["ix.noted"] = ir.StringAttr.get(noted)


def find(name: str) -> Pass | None:
    """Knows one ix pass."""
    return note_options if name == "ix-note-options" else None


@pytest.mark.parametrize(
    ("options", "noted"),
    [
        ("", "4 1.0 x False [1, 2] None"),
        ("{count=7 loud}", "7 1.0 x True [1, 2] None"),
        ("{count=0x10 scale=1e-3}", "16 0.001 x False [1, 2] None"),
        ("{name='two words' only=y}", "4 1.0 two words False [1, 2] y"),
        ("{sizes=[3, 4] loud=false}", "4 1.0 x False [3, 4] None"),
        ("{sizes=3,4,5}", "4 1.0 x False [3, 4, 5] None"),
        ("{sizes={8}}", "4 1.0 x False [8] None"),
        ("{sizes=[]}", "4 1.0 x False [] None"),
    ],
)
def test_options_are_read_from_pipelines(options: str, noted: str) -> None:
    (node,) = parse_pipeline(f"ix-note-options{options}", find)
    module = parse("module {}")
    run_passes(module, [node.ix_pass])
    assert module.operation.attributes["ix.noted"].value == noted
    # What is written back reads the same.
    (again,) = parse_pipeline(str(node), find)
    assert again == node


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ix-note-options{nope=1}", "has no option 'nope'; it has: count, scale"),
        ("ix-note-options{count=x}", "option 'count' needs int, but got 'x'"),
        ("ix-note-options{loud=maybe}", "option 'loud' needs bool, but got 'maybe'"),
        ("ix-note-options{sizes=[1,x]}", "'sizes' needs a list of int, but got '1,x'"),
        ("ix-note-options{name='x}", "needs a '}' for each '{' at column 16"),
        ("cse(", "needs '\\)' at column 5, but found the end"),
        ("cse{a=1", "needs a '}' for each '{'"),
        ("cse,,cse", "needs a pass or op name at column 5"),
        ("cse)", "needs ',' or the end at column 4, but found '\\)'"),
    ],
)
def test_malformed_pipelines_are_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_pipeline(text, find)


def test_pipelines_nest() -> None:
    text = "a,builtin.module(func.func(b{x={1} y='}'}),any(c)),d"
    assert join(parse_pipeline(f" {text.replace(',', ' , ')} ", find)) == text
    assert parse_options("a=1 b='x y'  c={d=1 e=2} f") == {
        "a": "1",
        "b": "'x y'",
        "c": "{d=1 e=2}",
        "f": "true",
    }
    with pytest.raises(InputError, match=r"'a=\[1' leave a quote or bracket open"):
        parse_options("a=[1")


def test_an_option_that_no_pipeline_can_write_is_refused() -> None:
    with pytest.raises(TypeError, match="'table' has type"):

        @module_pass("ix-bad-option")
        def bad_option(module: ir.OpView, *, table: dict[str, int] = {}) -> None:  # noqa: B006
            """Has an option that is a table."""

    with pytest.raises(TypeError, match="'count' needs a default"):

        @module_pass("ix-bad-option")
        def no_default(module: ir.OpView, *, count: int) -> None:
            """Has an option without a default."""


def test_upstream_and_ix_passes_mix_at_any_nesting() -> None:
    seen = []

    @module_pass("ix-see")
    def see(op: ir.OpView) -> None:
        """Notes what it runs on."""
        seen.append((op.operation.name, str(op).count("addf")))

    module = parse("""
    func.func @f(%x: f32) -> f32 {
      %0 = arith.addf %x, %x : f32
      %1 = arith.addf %x, %x : f32
      %2 = arith.mulf %0, %1 : f32
      return %2 : f32
    }
    func.func @g() { return }""")
    find_see = {"ix-see": see}.get
    nodes = parse_pipeline("ix-see,func.func(ix-see,cse,ix-see),ix-see", find_see)
    for instrument in (None, Instrumentation()):
        seen.clear()
        from ix.passes.driver import run_nodes

        copy = parse(str(module))
        run_nodes(copy, nodes, instrument)
        assert seen == [
            ("builtin.module", 2),
            ("func.func", 2),
            ("func.func", 1),
            ("func.func", 0),
            ("func.func", 0),
            ("builtin.module", 1),
        ]


def test_an_upstream_failure_is_a_compile_error_with_its_location() -> None:
    module = parse("""module attributes {gpu.container_module} {
      gpu.module @m [#nvvm.target] { }
    }""")
    with pytest.raises(CompileError, match=r"-:1:1: error: Invalid format"):
        run_passes(module, ["gpu-module-to-binary{format=nonsense}"])
    with pytest.raises(InputError, match="cannot run 'no-such-pass'"):
        run_passes(module, ["no-such-pass"])
    with pytest.raises(InputError, match="there is no pass 'ix-no-such-pass'"):
        run_passes(module, ["func.func(ix-no-such-pass)"])


@module_pass("ix-break")
def break_ir(module: ir.OpView) -> None:
    """Leaves a function without its terminator."""
    (op,) = ops_in(module, func.ReturnOp)
    op.operation.erase()


def test_invalid_ir_is_laid_at_the_door_of_the_pass() -> None:
    text = "func.func @f() { return }"
    with pytest.raises(CompileError, match="the IR is not valid after 'ix-break'"):
        run_passes(parse(text), [break_ir])
    with pytest.raises(CompileError, match="the IR is not valid after 'ix-break'"):
        run_passes(parse(text), [break_ir, "any(cse)"], instrument=Instrumentation())


def test_instrumentation_sees_passes_and_their_failure(
    tmp_path: Any, capsys: Any
) -> None:
    watch = Instrumentation(
        print_after=ALL, only_failures=True, reproducer=tmp_path / "r.mlir"
    )
    module = parse("func.func @f() { return }")
    with pytest.raises(CompileError):
        run_passes(module, ["cse", break_ir], instrument=watch)
    assert watch.failed_pass == "ix-break"
    assert [timer.name for timer in watch.timer.children.values()] == [
        "cse",
        "ix-break",
    ]
    shown = capsys.readouterr().err
    assert shown.startswith("// -----// IR Dump After ix-break Failed //----- //")
    reproducer = (tmp_path / "r.mlir").read_text()
    assert "return" in reproducer  # the module as it was before the pass
    assert re.search(r'pipeline: "builtin.module\(cse,ix-break\)"', reproducer)


def test_lower_to_runs_the_stages_up_to_one(monkeypatch: Any) -> None:
    ran = []

    def stage(name: str) -> Stage:
        return Stage(
            name, f"notes {name}", [Pass(f"ix-{name}", lambda _: ran.append(name))]
        )

    stages = tuple(map(stage, ("import", "graph", "linalg")))
    monkeypatch.setattr(pipeline, "STAGES", stages)
    pipeline.lower_to(parse("module {}"), "graph")
    assert ran == ["import", "graph"]
    with pytest.raises(
        InputError, match="no stage 'gpu'; stages: import, graph, linalg"
    ):
        pipeline.lower_to(parse("module {}"), "gpu")


def test_a_summary_is_the_first_sentence_of_the_docstring() -> None:
    assert note_options.summary == "Notes its options on the module."
    assert rewrite_pass("ix-x", []).summary == (
        "The pass framework: passes, errors, options, pipelines."
    )


def test_with_options_is_checked() -> None:
    assert str(note_options.with_options(count=8, sizes=[1])) == (
        "ix-note-options{count=8 sizes=[1]}"
    )
    with pytest.raises(InputError, match="no option 'tile'"):
        note_options.with_options(tile=8)
    with pytest.raises(InputError, match="no option 'tile'"):
        note_options.run(parse("module {}"), tile=8)
