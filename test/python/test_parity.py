"""Pass ⇔ file ⇔ test ⇔ docs, and op ⇔ round-trip test ⇔ docstring."""

import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import ix.passes
from ix.dialects.ix import Ix
from ix.passes.framework import Pass
from ix.passes.pipeline import STAGES
from ix.passes.registry import STAGE_FOLDERS, all_passes, find_pass

ROOT = Path(__file__).parents[2]
PASSES = all_passes()
OPS = sorted(Ix.operations, key=lambda op: op.OPERATION_NAME)


def file_name(each: Pass) -> str:
    """The stem of the files that belong to a pass."""
    return each.name.removeprefix("ix-").replace("-", "_")


def test_every_folder_of_passes_is_walked() -> None:
    packages = {m.name for m in pkgutil.iter_modules(ix.passes.__path__) if m.ispkg}
    assert packages <= set(STAGE_FOLDERS)


@pytest.mark.parametrize("folder", STAGE_FOLDERS)
def test_a_file_exports_at_most_the_pass_of_its_name(folder: str) -> None:
    if not (ROOT / "passes" / folder).is_dir():
        pytest.skip("no such folder yet")
    package = importlib.import_module(f"ix.passes.{folder}")
    for module in pkgutil.iter_modules(package.__path__):
        loaded = importlib.import_module(f"ix.passes.{folder}.{module.name}")
        for name, value in vars(loaded).items():
            # An imported pass keeps the name of its own file.
            if isinstance(value, Pass) and file_name(value) == module.name:
                assert name == module.name
                assert value.name == "ix-" + name.replace("_", "-")
        own = re.findall(
            r'(?:rewrite_pass|module_pass)\(\s*"([^"]+)"',
            Path(loaded.__file__ or "").read_text(),
        )
        assert own in ([], ["ix-" + module.name.replace("_", "-")])


@pytest.mark.parametrize(("folder", "each"), PASSES, ids=lambda value: str(value))
def test_a_pass_is_found_tested_and_documented(folder: str, each: Pass) -> None:
    assert find_pass(each.name) == each
    assert each.summary.endswith(".") or "→" in each.summary, "needs a docstring"
    test = ROOT / "test" / "passes" / folder / f"{file_name(each)}.mlir"
    assert test.is_file(), f"{each.name} needs {test.relative_to(ROOT)}"
    text = test.read_text()
    assert re.search(rf"RUN:.*\bix-opt\b.*{each.name}\b", text), (
        "the test must run the pass"
    )
    assert re.search(r"-NOT:|_stays?\b|expected-error|not ix-opt", text), (
        f"{test.relative_to(ROOT)} needs a negative case: a CHECK-NOT, a function "
        "whose name ends in _stays, or an error"
    )
    reference = (ROOT / "docs" / "reference" / "passes.md").read_text()
    is_documented = f"### `{each.name}`" in reference
    assert is_documented, "run docs/generate_reference.py"


def test_every_pass_runs_in_the_pipeline_or_is_a_check() -> None:
    scheduled = {
        each.name for stage in STAGES for each in stage.passes if isinstance(each, Pass)
    }
    scheduled |= {
        name
        for stage in STAGES
        for each in stage.passes
        if isinstance(each, str)
        for name in re.findall(r"ix-[\w-]+", each)
    }
    idle = {
        each.name for _, each in PASSES if not each.name.startswith("ix-check-")
    } - scheduled
    assert not idle, f"in no stage of pipeline.py: {sorted(idle)}"


def test_every_lit_test_of_a_pass_has_its_file() -> None:
    for test in sorted((ROOT / "test" / "passes").glob("*/*.mlir")):
        source = ROOT / "passes" / test.parent.name / f"{test.stem}.py"
        package = source.with_suffix("")
        assert source.is_file() or package.is_dir(), (
            f"{test.relative_to(ROOT)} mirrors nothing"
        )


def test_every_rule_of_gpu_kernels_has_a_lit_test() -> None:
    for rule in sorted((ROOT / "passes" / "gpu" / "rules").glob("[a-z]*.py")):
        test = ROOT / "test" / "passes" / "gpu" / "rules" / f"{rule.stem}.mlir"
        assert test.is_file(), f"{rule.name} needs {test.relative_to(ROOT)}"
        assert re.search(r"RUN:.*--stage=(gpu|ptx)\b", test.read_text())


@pytest.fixture(scope="module")
def round_trips() -> set[str]:
    """The ops in the lit tests of the dialect that print, parse and print again."""
    found: set[str] = set()
    for test in sorted((ROOT / "test" / "dialects" / "ix").glob("*.mlir")):
        text = test.read_text()
        if re.search(r"RUN:.*(--verify-roundtrip|ix-opt.*\| *ix-opt)", text):
            found.update(re.findall(r'"(ix\.\w+)"', text))
    return found


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.OPERATION_NAME)
def test_an_op_is_documented_and_round_trips(op: type, round_trips: set[str]) -> None:
    name = op.OPERATION_NAME
    assert op.__dict__.get("__doc__"), f"{op.__name__} needs a docstring"
    is_tested = name in round_trips
    assert is_tested, f"{name} is in no round trip of test/dialects/ix"
    reference = (ROOT / "docs" / "reference" / "ops.md").read_text()
    is_documented = f"`{name}`" in reference
    assert is_documented, "run docs/generate_reference.py"


def test_the_reference_is_up_to_date() -> None:
    command = [sys.executable, str(ROOT / "docs" / "generate_reference.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_op_classes_are_named_after_their_mnemonics() -> None:
    for op in OPS:
        words = op.OPERATION_NAME.removeprefix("ix.").split("_")
        assert op.__name__.lower() == "".join(words) + "op", op
