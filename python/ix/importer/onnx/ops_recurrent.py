"""RNN, GRU and LSTM, unrolled over time.

Shapes: X[time, batch, input], W[direction, gates · hidden, input],
R[direction, gates · hidden, hidden], B[direction, 2 · gates · hidden].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ix.importer import builder as b
from ix.importer.onnx.node import Handler, Node, Unsupported

__all__ = ["MAX_STEPS", "RECURRENT"]

MAX_STEPS = 256
"""The longest sequence that is unrolled."""

Activation = Callable[[Any, float, float], Any]

_ACTIVATIONS: dict[str, Activation] = {
    "affine": lambda x, alpha, beta: b.add(b.mul(x, alpha), beta),
    "elu": lambda x, alpha, beta: b.elu(x, alpha),
    "hardsigmoid": lambda x, alpha, beta: b.hardsigmoid(x, alpha, beta),
    "leakyrelu": lambda x, alpha, beta: b.leaky_relu(x, alpha),
    "relu": lambda x, alpha, beta: b.relu(x),
    "scaledtanh": lambda x, alpha, beta: b.mul(b.tanh(b.mul(x, beta)), alpha),
    "sigmoid": lambda x, alpha, beta: b.sigmoid(x),
    "softplus": lambda x, alpha, beta: b.softplus(x),
    "softsign": lambda x, alpha, beta: b.softsign(x),
    "tanh": lambda x, alpha, beta: b.tanh(x),
    "thresholdedrelu": lambda x, alpha, beta: b.thresholded_relu(x, alpha),
}

# Source: onnx/docs/Operators.md, RNN, "Activation functions".
_DEFAULTS = {
    "affine": (1.0, 0.0),
    "elu": (1.0, 0.0),
    "hardsigmoid": (0.2, 0.5),
    "leakyrelu": (0.01, 0.0),
    "scaledtanh": (1.0, 1.0),
    "thresholdedrelu": (1.0, 0.0),
}


class _Cell:
    """The weights of one direction and the step that a subclass defines."""

    gates = 1
    functions: tuple[str, ...] = ("Tanh",)

    def __init__(self, node: Node, direction: int) -> None:
        self.node = node
        self.hidden = int(node.shape(2)[-1])
        self.w = _pick(node.input(1), direction)
        self.r = _pick(node.input(2), direction)
        size = self.gates * self.hidden
        bias = _pick(node.input(3), direction) if node.has(3) else None
        self.w_bias = None if bias is None else b.slice_axis(bias, 0, 0, size)
        self.r_bias = None if bias is None else b.slice_axis(bias, 0, size, 2 * size)
        self.activations = self._activations(direction)

    def _activations(self, direction: int) -> list[Callable[[Any], Any]]:
        count = len(self.functions)
        directions = (
            2 if self.node.text("direction", "forward") == "bidirectional" else 1
        )
        names = self.node.texts("activations", list(self.functions) * directions)
        # Only functions that take a number consume one from these lists.
        alphas = self.node.numbers("activation_alpha", [])
        betas = self.node.numbers("activation_beta", [])
        result = []
        for name in names:
            key = name.lower()
            if key not in _ACTIVATIONS:
                raise Unsupported(f"has activation {name!r}, which ix does not have")
            alpha, beta = _DEFAULTS.get(key, (0.0, 0.0))
            if key in _DEFAULTS and alphas:
                alpha = alphas.pop(0)
            if key in ("affine", "hardsigmoid", "scaledtanh") and betas:
                beta = betas.pop(0)
            result.append(_bound(_ACTIVATIONS[key], alpha, beta))
        return result[direction * count : (direction + 1) * count]

    def clipped(self, x: Any) -> Any:
        """Pre-activations within ± clip, where the attribute is given."""
        if not self.node.has_attribute("clip"):
            return x
        limit = self.node.number("clip")
        return b.clip(x, -limit, limit)

    def inputs(self, x: Any) -> Any:
        """x · Wᵀ + bias, for all steps at once."""
        return b.linear(x, self.w, self.w_bias)

    def step(self, x: Any, state: tuple[Any, ...]) -> tuple[Any, ...]:
        """The next (hidden, …) from the projected input and the state."""
        raise NotImplementedError


class _Rnn(_Cell):
    def step(self, x: Any, state: tuple[Any, ...]) -> tuple[Any, ...]:
        total = b.add(x, b.linear(state[0], self.r, self.r_bias))
        return (self.activations[0](self.clipped(total)),)


class _Gru(_Cell):
    gates = 3
    functions = ("Sigmoid", "Tanh")

    def step(self, x: Any, state: tuple[Any, ...]) -> tuple[Any, ...]:
        (hidden,) = state
        gate, candidate = self.activations
        xz, xr, xh = b.split(x, 3, -1)
        weights = b.split(self.r, 3, 0)
        biases = [None] * 3 if self.r_bias is None else b.split(self.r_bias, 3, 0)
        z = gate(self.clipped(b.add(xz, b.linear(hidden, weights[0], biases[0]))))
        r = gate(self.clipped(b.add(xr, b.linear(hidden, weights[1], biases[1]))))
        if self.node.flag("linear_before_reset"):
            inner = b.mul(r, b.linear(hidden, weights[2], biases[2]))
        else:
            inner = b.linear(b.mul(r, hidden), weights[2], biases[2])
        new = candidate(self.clipped(b.add(xh, inner)))
        return (b.add(b.mul(b.sub(1.0, z), new), b.mul(z, hidden)),)


class _Lstm(_Cell):
    gates = 4
    functions = ("Sigmoid", "Tanh", "Tanh")

    def __init__(self, node: Node, direction: int) -> None:
        super().__init__(node, direction)
        peepholes = _pick(node.input(7), direction) if node.has(7) else None
        self.peepholes = None if peepholes is None else b.split(peepholes, 3, 0)

    def step(self, x: Any, state: tuple[Any, ...]) -> tuple[Any, ...]:
        hidden, cell = state
        f, g, h = self.activations
        total = b.add(x, b.linear(hidden, self.r, self.r_bias))
        i_in, o_in, f_in, c_in = b.split(total, 4, -1)
        if self.peepholes:
            i_in = b.add(i_in, b.mul(self.peepholes[0], cell))
            f_in = b.add(f_in, b.mul(self.peepholes[2], cell))
        i = f(self.clipped(i_in))
        coupled = self.node.flag("input_forget")
        forget = b.sub(1.0, i) if coupled else f(self.clipped(f_in))
        new = b.add(b.mul(forget, cell), b.mul(i, g(self.clipped(c_in))))
        if self.peepholes:
            o_in = b.add(o_in, b.mul(self.peepholes[1], new))
        return b.mul(f(self.clipped(o_in)), h(new)), new


def _bound(function: Activation, alpha: float, beta: float) -> Callable[[Any], Any]:
    return lambda x: function(x, alpha, beta)


def _pick(x: Any, index: int) -> Any:
    """x[index], for an axis that goes away."""
    return b.squeeze(b.slice_axis(x, 0, index, index + 1), 0)


def _recurrent(cell_type: type[_Cell], states: int) -> Handler:
    def handle(node: Node) -> Sequence[Any]:
        batch_first = node.integer("layout", 0) == 1
        x = node.input(0)
        if batch_first:
            x = b.transpose(x, [1, 0, 2])
        mode = node.text("direction", "forward")
        directions = 2 if mode == "bidirectional" else 1
        runs = []
        for direction in range(directions):
            cell = cell_type(node, direction)
            backward = mode == "reverse" or direction == 1
            initial = [
                _initial(node, 5 + at, direction, batch_first, x, cell.hidden)
                for at in range(states)
            ]
            runs.append(_run(node, cell, x, tuple(initial), backward))
        return _outputs(runs, states, batch_first)

    return handle


def _initial(
    node: Node, index: int, direction: int, batch_first: bool, x: Any, hidden: int
) -> Any:
    """The first state of one direction, [batch, hidden]; zeros by default."""
    if not node.has(index):
        zero = np.zeros((), node.dtype(0))
        return b.broadcast_to(zero, [b.shape(x)[1], hidden])
    value = node.input(index)
    return _pick(b.transpose(value, [1, 0, 2]) if batch_first else value, direction)


def _run(
    node: Node, cell: _Cell, x: Any, state: tuple[Any, ...], backward: bool
) -> tuple[Any, tuple[Any, ...]]:
    """All hidden states, [time, batch, hidden], and the last state."""
    steps = b.shape(x)[0]
    if not isinstance(steps, int) or steps > MAX_STEPS:
        raise Unsupported(
            f"needs a static sequence of at most {MAX_STEPS} steps, but it has {steps}"
        )
    projected = cell.inputs(x)
    lengths = node.optional(4)
    outputs: list[Any] = [None] * steps
    for time in reversed(range(steps)) if backward else range(steps):
        new = cell.step(_pick(projected, time), state)
        if lengths is None:
            outputs[time] = new[0]
        else:
            inside = b.expand_dims(b.gt(lengths, time), 1)
            outputs[time] = b.select(inside, new[0], 0.0)
            new = tuple(
                b.select(inside, now, old) for now, old in zip(new, state, strict=True)
            )
        state = new
    return b.stack(outputs, 0), state


def _outputs(runs: Sequence[Any], states: int, batch_first: bool) -> list[Any]:
    """Y[time, direction, batch, hidden] and the last states[direction, batch, hidden].

    With batch first: [batch, time, direction, hidden], [batch, direction, hidden].
    """
    everything = b.stack([run[0] for run in runs], 1)
    last = [b.stack([run[1][at] for run in runs], 0) for at in range(states)]
    if batch_first:
        everything = b.transpose(everything, [2, 0, 1, 3])
        last = [b.transpose(each, [1, 0, 2]) for each in last]
    return [everything, *last]


RECURRENT: dict[str, Handler] = {
    "GRU": _recurrent(_Gru, 1),
    "LSTM": _recurrent(_Lstm, 2),
    "RNN": _recurrent(_Rnn, 1),
}
"""Op type → handler."""
