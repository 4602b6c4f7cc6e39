"""ix-merge-launches: a product and the rows made of its result become one launch.

    %0 = call @kernel_3(%x, %w)            %0, %1 = call @kernel_3_kernel_4(%x, %w, %y)
    %1 = call @kernel_4(%0, %y)     →
                                           func private @kernel_3_kernel_4(%x, %w, %y) {
                                             %0 = call @kernel_3(%x, %w)
                                             %1 = call @kernel_4(%0, %y)
                                             return %0, %1

A launch costs a GPU some microseconds, as much as a small layer norm.
"""

from __future__ import annotations

import json
from typing import Any

from ix.mlir import defining_op, func, ir, op_key
from ix.passes.compiled_program import kernel_functions
from ix.passes.framework import module_pass
from ix.passes.gpu.rules.product_rows import FAMILY, pair_of
from ix.passes.schedule.ask_rules import note_declined
from ix.passes.schedule.form_kernels import main_of
from ix.passes.schedule.kernel import Kernel
from ix.passes.schedule.sources import located_call, sources_of
from ix.target import Target

__all__ = ["merge_launches"]


@module_pass("ix-merge-launches")
def merge_launches(module: Any) -> None:
    """A product and the rows made of its result become one launch."""
    attributes = module.operation.attributes
    if "ix.target" not in attributes:
        return
    target = Target.parse(ir.StringAttr(attributes["ix.target"]).value)
    if target.kind != "cuda":
        return
    merger = _Merger(module, target)
    block = main_of(module).entry_block
    for op in list(block.operations):
        if op.operation.name == "func.call":
            merger.visit(op.operation.opview)


class _Merger:
    def __init__(self, module: Any, target: Target) -> None:
        self.module, self.target = module, target
        self.functions = kernel_functions(module)
        self.pairs: dict[tuple[str, str], bool] = {}

    def visit(self, second: Any) -> None:
        """Merges a call with the one that computes an operand, where that pays."""
        for operand in second.operation.operands:
            first = defining_op(operand)
            if first is None or first.operation.name != "func.call":
                continue
            if self._is_pair(first, second):
                self._merge(first, second)
                return

    def _is_pair(self, first: Any, second: Any) -> bool:
        names = _callee(first), _callee(second)
        kernels = [self.functions[name] for name in names]
        families = [
            ir.StringAttr(k.operation.attributes["ix.family"]).value for k in kernels
        ]
        if families != ["contraction", "row"]:
            return False
        one, other = (Kernel(function) for function in kernels)
        other.rule = FAMILY
        merges = (
            other.needs(_sizes_of(first) == _sizes_of(second), "other-sizes")
            and self._fit(names, one, other)
            and other.needs(_may_move(first, second), "read-between")
        )
        note_declined(other)
        return merges

    def _fit(self, names: tuple[str, str], one: Kernel, other: Kernel) -> bool:
        if names not in self.pairs:
            self.pairs[names] = pair_of(one, other, self.target) is not None
        return self.pairs[names]

    def _merge(self, first: Any, second: Any) -> None:
        made = set(first.operation.results)
        tensors = _tensors(first)
        tensors += [v for v in _tensors(second) if v not in {*made, *tensors}]
        sizes = _sizes_of(first)
        name = self._function(first, second, tensors, sizes)
        results = [*first.operation.results, *second.operation.results]
        sources = [*sources_of(first), *sources_of(second)]
        location = located_call(second.operation.location, sources)
        with ir.InsertionPoint(second), location:
            call = func.CallOp([v.type for v in results], name, [*tensors, *sizes])
        for key in ("ix.ops", "ix.sizes"):
            call.operation.attributes[key] = _joined(first, second, key)
        for old, new in zip(results, call.results, strict=True):
            old.replace_all_uses_with(new)
        second.operation.erase()
        first.operation.erase()

    def _function(
        self, first: Any, second: Any, tensors: list[Any], sizes: list[Any]
    ) -> str:
        """The name of the function that calls both; how they are wired is in it."""
        place = {v: f"a{n}" for n, v in enumerate(tensors)}
        wires = [place.get(v, "r") for v in [*_tensors(first), *_tensors(second)]]
        name = f"{_callee(first)}_{_callee(second)}"
        own = len(_tensors(first))
        usual = [f"a{n}" for n in range(len(tensors))]
        if wires != [*usual[:own], "r", *usual[own:]]:
            name += "_" + "".join(wires)
        if name not in self.functions:
            self.functions[name] = self._build(name, first, second, tensors, sizes)
        return name

    def _build(
        self, name: str, first: Any, second: Any, tensors: list[Any], sizes: list[Any]
    ) -> Any:
        results = [*first.operation.results, *second.operation.results]
        types = [v.type for v in [*tensors, *sizes]]
        body = self.module.operation.regions[0].blocks[0]
        with ir.InsertionPoint(body), second.operation.location:
            function = func.FuncOp(
                name, (types, [v.type for v in results]), visibility="private"
            )
            values = dict(
                zip(
                    [*tensors, *sizes],
                    function.add_entry_block().arguments,
                    strict=True,
                )
            )
            with ir.InsertionPoint(function.entry_block):
                for call in (first, second):
                    kernel = Kernel(self.functions[_callee(call)])
                    inner = func.CallOp(
                        [v.type for v in call.operation.results],
                        _callee(call),
                        [values[v] for v in call.operation.operands],
                    )
                    shapes = [kernel.shape(v) for v in kernel.outputs]
                    inner.operation.attributes["ix.sizes"] = ir.StringAttr.get(
                        json.dumps(shapes, separators=(",", ":"))
                    )
                    values.update(
                        zip(call.operation.results, inner.results, strict=True)
                    )
                func.ReturnOp([values[v] for v in results])
        function.operation.attributes["ix.family"] = ir.StringAttr.get(FAMILY)
        entries = self._arguments(first) | self._arguments(second)
        if types:
            function.arg_attrs = [entries[v] for v in [*tensors, *sizes]]
        return function

    def _arguments(self, call: Any) -> dict[Any, Any]:
        """The annotation of each operand of a call."""
        function = self.functions[_callee(call)]
        if not call.operation.operands:
            return {}
        entries = ir.ArrayAttr(function.operation.attributes["arg_attrs"])
        return dict(zip(call.operation.operands, entries, strict=True))


def _callee(call: Any) -> str:
    name: str = ir.FlatSymbolRefAttr(call.operation.attributes["callee"]).value
    return name


def _tensors(call: Any) -> list[Any]:
    operands = list(call.operation.operands)
    return [v for v in operands if not isinstance(v.type, ir.IndexType)]


def _sizes_of(call: Any) -> list[Any]:
    return [v for v in call.operation.operands if isinstance(v.type, ir.IndexType)]


def _joined(first: Any, second: Any, key: str) -> Any:
    """The attribute of both calls, one behind the other."""
    if key == "ix.sizes":
        shapes = [
            shape
            for c in (first, second)
            for shape in json.loads(ir.StringAttr(c.operation.attributes[key]).value)
        ]
        return ir.StringAttr.get(json.dumps(shapes, separators=(",", ":")))
    names = [
        ir.StringAttr(n).value
        for c in (first, second)
        for n in ir.ArrayAttr(c.operation.attributes[key])
    ]
    return ir.ArrayAttr.get([ir.StringAttr.get(n) for n in dict.fromkeys(names)])


def _may_move(first: Any, second: Any) -> bool:
    """Whether nothing between the calls reads what the first one computes."""
    block = second.operation.block
    order = {op_key(op): n for n, op in enumerate(block.operations)}
    limit = order[op_key(second)]
    return all(
        order[op_key(use.owner)] >= limit
        for value in first.operation.results
        for use in value.uses
    )
