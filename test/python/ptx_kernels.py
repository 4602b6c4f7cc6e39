"""Whole kernels that others compiled, and what they must compute, in float64.

Each `Case` has the PTX of emulator/Inputs, its launch, fresh random operands, and the
expected result with the error that its arithmetic may have.
"""

import gzip
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ix.emulator import Emulator
from ix.runtime.tensor_map import TensorMap

INPUTS = Path(__file__).parent / "emulator" / "Inputs"


def text_of(name):
    """The PTX of a kernel in Inputs."""
    return gzip.decompress((INPUTS / f"{name}.ptx.gz").read_bytes()).decode()


def to_bf16(values):
    """The bits of values rounded to nearest even in bfloat16."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    half = np.uint32(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1))
    return ((bits + half) >> np.uint32(16)).astype(np.uint16)


def from_bf16(bits):
    """float64 of bfloat16 bits."""
    wide = bits.astype(np.uint32) << np.uint32(16)
    return wide.view(np.float32).astype(np.float64)


@dataclass
class Run:
    """What a launch gave: the result, the largest error allowed, and the counters."""

    result: np.ndarray
    expected: np.ndarray
    tolerance: float
    counters: object

    @property
    def error(self):
        """The largest error, in units of the largest expected value; NaN if unset."""
        worst = np.abs(self.result - self.expected).max()
        return float(worst / np.abs(self.expected).max())

    @property
    def is_right(self):
        return bool(self.error <= self.tolerance)


@dataclass
class Case:
    """A kernel with its launch.

    Attributes:
        make: (emulator, random) → (arguments, address, dtype, finish, expected), where
            finish makes a float64 array of the elements at the address.
        tolerance: Of the largest error, relative to the largest expected value.
    """

    name: str
    target: str
    grid: tuple
    block: int
    make: Callable
    tolerance: float
    shared_bytes: int = 0
    cluster: tuple = (1, 1, 1)
    options: dict = field(default_factory=dict)

    def run(self, text=None, **options):
        """Launches the kernel, or another text in its place."""
        emulator = Emulator(self.target, **{**self.options, **options})
        module = emulator.load(text_of(self.name) if text is None else text)
        random = np.random.default_rng()
        arguments, address, dtype, finish, expected = self.make(emulator, random)
        counters = emulator.launch(
            module,
            module.kernels[0],
            self.grid,
            self.block,
            arguments,
            self.shared_bytes,
            self.cluster,
        )
        found = emulator.read(address, dtype, expected.size)
        return Run(finish(found), expected, self.tolerance, counters)

    def with_(self, **changes):
        """The same case with other fields."""
        return replace(self, **changes)


def upload(emulator, array):
    address = emulator.alloc(array.nbytes)
    emulator.write(address, array)
    return address


def pointer(address):
    return np.uint64(address).tobytes()


def map_pointer(emulator, tensor):
    """A tensor map in global memory, and the bytes of its address."""
    return pointer(upload(emulator, np.frombuffer(tensor.to_bytes(), np.uint8)))


def plain_gemm(m, n, k, kind, b_is_transposed):
    """D[m, n] f32 = A · B with pointers to row-major arrays."""

    def make(emulator, random):
        a = random.standard_normal((m, k))
        b = random.standard_normal((n, k) if b_is_transposed else (k, n))
        if kind == "bf16":
            a, b = to_bf16(a), to_bf16(b)
            left, right = from_bf16(a), from_bf16(b)
        else:
            a, b = a.astype(np.float16), b.astype(np.float16)
            left, right = a.astype(np.float64), b.astype(np.float64)
        d = emulator.alloc(4 * m * n)
        arguments = [pointer(p) for p in (upload(emulator, a), upload(emulator, b), d)]
        expected = left @ (right.T if b_is_transposed else right)
        return (
            arguments,
            d,
            np.float32,
            lambda x: x.reshape(m, n).astype(float),
            expected,
        )

    return make


def mapped_gemm(m, n, k, map_a, map_b):
    """D[m, n] f32 = A · B of bf16, with tensor maps by value of A and B."""

    def make(emulator, random):
        a = to_bf16(random.standard_normal((m, k)))
        b = to_bf16(random.standard_normal((k, n)))
        d = emulator.alloc(4 * m * n)
        maps = map_a(upload(emulator, a)), map_b(upload(emulator, b))
        arguments = [*(tensor.to_bytes() for tensor in maps), pointer(d)]
        expected = from_bf16(a) @ from_bf16(b)
        return (
            arguments,
            d,
            np.float32,
            lambda x: x.reshape(m, n).astype(float),
            expected,
        )

    return make


def rows_map(rows, columns, box, swizzle=128):
    """What makes a map of a row-major bf16 array."""
    return lambda address: TensorMap(
        "bf16", address, (columns, rows), (2 * columns,), box, swizzle=swizzle
    )


def columns_map(rows, columns, box, swizzle=128):
    """What makes a map of a row-major bf16 array as columns of 64, side by side."""
    return lambda address: TensorMap(
        "bf16",
        address,
        (64, rows, columns // 64),
        (2 * columns, 128),
        box,
        swizzle=swizzle,
    )


def cluster_gemm(emulator, random):
    """The persistent kernel of pyptx: D[n, m] bf16 = (A · Bᵀ)ᵀ, 256 each."""
    size = 256
    a = to_bf16(random.standard_normal((size, size)))
    b = to_bf16(random.standard_normal((size, size)))
    schedule = np.full((64, 128), 0xFFFFFFFF, np.uint32)
    schedule[0, 0] = 0
    places = [upload(emulator, x) for x in (a, b, schedule)]
    d = emulator.alloc(2 * size * size)
    maps = [
        columns_map(size, size, (64, 128, 1))(places[0]),
        columns_map(size, size, (64, 256, 1))(places[1]),
        columns_map(size, size, (72, 256, 1), swizzle=0)(d),
    ]
    arguments = [
        *(pointer(p) for p in (*places, d)),
        *(np.uint32(size).tobytes() for _ in range(3)),
        *(map_pointer(emulator, tensor) for tensor in maps),
    ]
    expected = (from_bf16(a) @ from_bf16(b).T).T
    return arguments, d, np.uint16, lambda x: from_bf16(x).reshape(size, size), expected


def attention(q, k, v):
    """Softmax(q · k / √d) · v in float64; k as [d, keys]."""
    scores = q @ k / np.sqrt(q.shape[-1])
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights @ v / weights.sum(-1, keepdims=True)


def mapped_attention(queries, keys, depth, keys_box):
    """Attention of pyptx: O[queries, depth] f32, maps of Q, Kᵀ and V."""

    def make(emulator, random):
        q = to_bf16(random.standard_normal((queries, depth)))
        k = to_bf16(random.standard_normal((depth, keys)))
        v = to_bf16(random.standard_normal((keys, depth)))
        places = [upload(emulator, x) for x in (q, k, v)]
        o = emulator.alloc(4 * queries * depth)
        maps = [
            rows_map(queries, depth, (depth, 64), 2 * depth)(places[0]),
            rows_map(depth, keys, (keys_box, depth), 2 * keys_box)(places[1]),
            rows_map(keys, depth, (depth, keys_box), 2 * depth)(places[2]),
        ]
        arguments = [pointer(p) for p in (*places, o)]
        arguments += [map_pointer(emulator, tensor) for tensor in maps]
        expected = attention(from_bf16(q), from_bf16(k), from_bf16(v))
        return (
            arguments, o, np.float32,
            lambda x: x.reshape(queries, depth).astype(float), expected,
        )  # fmt: skip

    return make


def plain_attention(emulator, random):
    """Attention of 64 queries and 64 keys, depth 64, in f16."""
    q, k, v = random.standard_normal((3, 64, 64)).astype(np.float16)
    places = [upload(emulator, x) for x in (q, k, v)]
    o = emulator.alloc(2 * 64 * 64)
    left, right, values = (x.astype(np.float64) for x in (q, k, v))
    expected = attention(left, right.T, values)
    return (
        [pointer(p) for p in (*places, o)], o, np.float16,
        lambda x: x.reshape(64, 64).astype(float), expected,
    )  # fmt: skip


# f32 sums of K products, each rounded: far below 2^-24 √K of the largest result.
FLOAT32 = 2e-6
BFLOAT16 = 2.0**-8  # half an ulp of the result, and no more
ATTENTION = 3e-3  # weights in bf16 or f16 before the second product

CASES = {
    case.name: case
    for case in (
        Case("llvm_ampere_gemm", "sm_80", (2, 1), 128,
             plain_gemm(128, 256, 352, "f16", False), FLOAT32, 49152),
        Case("llvm_hopper_gemm", "sm_90a", (2, 1), 128,
             mapped_gemm(128, 256, 704, rows_map(128, 704, (64, 128)),
                         rows_map(704, 256, (64, 64))), FLOAT32, 98304),
        Case("llvm_hopper_gemm_specialised", "sm_90a", (2, 1), 384,
             mapped_gemm(128, 512, 704, rows_map(128, 704, (64, 128)),
                         columns_map(704, 512, (64, 64, 4))), FLOAT32, 196672),
        Case("llvm_ampere_attention", "sm_80", (1, 1), 128, plain_attention, ATTENTION),
        Case("pyptx_ampere_gemm", "sm_80", (32, 16), 32,
             plain_gemm(256, 256, 256, "bf16", True), FLOAT32),
        Case("pyptx_ampere_gemm_pipelined", "sm_80", (4, 4), 128,
             plain_gemm(256, 256, 256, "bf16", True), FLOAT32, 8192),
        Case("pyptx_ampere_gemm_stages", "sm_80", (2, 2), 128,
             plain_gemm(256, 256, 256, "bf16", True), FLOAT32, 65536),
        # Stores and TMA in its epilogue have a barrier, but no proxy fence in between.
        Case("pyptx_hopper_gemm", "sm_90a", (2,), 384, cluster_gemm, BFLOAT16, 221744,
             (2, 1, 1), {"strict": False}),
        # Weights are stored and read by wgmma with a barrier, but no proxy fence.
        Case("pyptx_hopper_attention", "sm_90a", (1,), 128,
             mapped_attention(128, 128, 32, 64), ATTENTION,
             options={"strict": False}),
        Case("pyptx_hopper_attention_tiles", "sm_90a", (1,), 128,
             mapped_attention(64, 64, 16, 16), ATTENTION,
             options={"strict": False}),
    )
}  # fmt: skip
