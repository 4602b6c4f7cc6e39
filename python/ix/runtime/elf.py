"""Loads relocatable ELF objects for x86-64 into this process.

    objects → sections of one mapping → addresses of symbols → relocations → mprotect

    mapping:  code, stubs (read, execute) │ constants, GOT (read) │ data, bss (write)

No page is ever writable and executable at once. Objects may refer to each other's
symbols and to those of the C library; a call that leaves the mapping goes through a
stub, so that it reaches any address. Nothing but the standard library is needed.

Source: System V ABI, AMD64 Architecture Processor Supplement, chapter 4.
"""

from __future__ import annotations

import ctypes
import functools
import mmap
import os
import platform
import struct
import sys
from collections.abc import Sequence
from typing import Final

from ix.errors import ArtifactError, RuntimeFailure
from ix.runtime.elf_object import (
    ABSOLUTE,
    ALLOC,
    COMMON,
    EXECUTE,
    LOCAL,
    LOCAL_END,
    MAX_BYTES,
    NOBITS,
    PAGE,
    RELOCATION,
    UNDEFINED,
    WEAK,
    WRITE,
    ObjectFile,
    Section,
    Symbol,
)

__all__ = ["LoadedCode", "load_object"]

# What a relocation writes: an address, less another, in so many bytes.
# S the symbol, L its stub, G its slot of the GOT, GOT the table itself, P the place.
SIGNED_4, UNSIGNED_4, WORD = (struct.Struct(form) for form in ("<i", "<I", "<Q"))
RELOCATIONS: Final[dict[int, tuple[str, str, struct.Struct]]] = {
    1: ("S", "", WORD),  # R_X86_64_64
    2: ("S", "P", SIGNED_4),  # PC32
    4: ("L", "P", SIGNED_4),  # PLT32
    9: ("G", "P", SIGNED_4),  # GOTPCREL
    10: ("S", "", UNSIGNED_4),  # 32
    11: ("S", "", SIGNED_4),  # 32S
    24: ("S", "P", WORD),  # PC64
    25: ("S", "GOT", WORD),  # GOTOFF64
    26: ("GOT", "P", SIGNED_4),  # GOTPC32
    27: ("G", "GOT", WORD),  # GOT64
    28: ("G", "P", WORD),  # GOTPCREL64
    29: ("GOT", "P", WORD),  # GOTPC64
    31: ("L", "GOT", WORD),  # PLTOFF64
    41: ("G", "P", SIGNED_4),  # GOTPCRELX
    42: ("G", "P", SIGNED_4),  # REX_GOTPCRELX
}
DISTANCES: Final = frozenset((2, 4))  # PC32, and PLT32 within the mapping


class LoadedCode:
    """Code and data in executable memory; both live as long as this object.

    Attributes:
        symbols: The global symbols that the objects define, with their addresses.
        size_bytes: Size of the mapping.
    """

    def __init__(self, mapping: mmap.mmap, anchor: ctypes.c_char) -> None:
        self._mapping = mapping
        self._anchor: ctypes.c_char | None = anchor  # keeps the mapping in place
        self.symbols: dict[str, int] = {}
        self.size_bytes = len(mapping)

    def address(self, symbol: str) -> int:
        """The address of a global symbol.

        Raises:
            ArtifactError: No object defines it, or the code was closed.
        """
        if self._anchor is None:
            raise ArtifactError(
                f"symbol {symbol!r} needs loaded code, but it is closed"
            )
        if symbol not in self.symbols:
            known = ", ".join(sorted(self.symbols)[:5]) or "nothing"
            raise ArtifactError(
                f"the code needs to define {symbol!r}, but it defines {known}"
                f"{' …' if len(self.symbols) > 5 else ''}; compile the model again"
            )
        return self.symbols[symbol]

    def close(self) -> None:
        """Unmaps the code; no address taken from it may be used any more."""
        if self._anchor is not None:
            self._anchor = None
            self._mapping.close()


def load_object(*objects: bytes) -> LoadedCode:
    """Loads ELF64 objects, resolving symbols among them and in the C library.

    Raises:
        ArtifactError: An object is damaged, for another machine, refers to a symbol
            that nobody defines, or uses what this loader does not know.
        RuntimeFailure: The system refuses executable memory.
    """
    if platform.machine().lower() not in ("x86_64", "amd64") or os.name != "posix":
        raise ArtifactError(
            f"native code needs an x86-64 POSIX host, but this is {sys.platform} on "
            f"{platform.machine()}; compile for this host's own target"
        )
    parsed = [
        ObjectFile(memoryview(data).cast("B"), n) for n, data in enumerate(objects)
    ]
    return _Linker(parsed).link()


class _Linker:
    """Lays objects out in one mapping, resolves and relocates."""

    def __init__(self, objects: Sequence[ObjectFile]) -> None:
        self.objects = objects
        self.globals: dict[str, tuple[int, int]] = {}  # name → binding, offset
        self.got_used: dict[int, int] = {}  # address → address of its slot
        self.stubs_used: dict[int, int] = {}  # address → address of its stub
        self.end = 0

    def link(self) -> LoadedCode:
        self._lay_out()
        self._define_globals()
        self.mapping = mmap.mmap(-1, max(self.end, PAGE))
        anchor = ctypes.c_char.from_buffer(self.mapping)
        self.base = ctypes.addressof(anchor)
        code = LoadedCode(self.mapping, anchor)
        code.symbols = {name: self.base + at for name, (_, at) in self.globals.items()}
        for each in self.objects:
            self._copy(each)
        for each in self.objects:
            self._relocate(each)
        self._protect()
        return code

    def _lay_out(self) -> None:
        """Gives every section, COMMON symbol, stub and GOT slot its place."""
        symbols = sum(len(each.symbols) for each in self.objects)
        self._place(EXECUTE)
        self.stubs = self._reserve(8 * symbols, 16)
        self.constants = self._reserve(0, PAGE)
        self._place(0)
        self.got = self._reserve(8 * symbols, 16)
        self.writable = self._reserve(0, PAGE)
        self._place(WRITE)
        self.common: dict[str, int] = {}
        for each in self.objects:
            for _, symbol in each.global_symbols:
                if symbol.section == COMMON and symbol.name not in self.common:
                    align = min(max(symbol.value, 1), PAGE)
                    self.common[symbol.name] = self._reserve(symbol.size, align)
        self._reserve(0, PAGE)

    def _place(self, access: int) -> None:
        for each in self.objects:
            for section in each.sections:
                if section.flags & (ALLOC | WRITE | EXECUTE) == ALLOC | access:
                    section.at = self._reserve(section.size, section.align)

    def _reserve(self, size: int, align: int) -> int:
        at = -(-self.end // align) * align
        self.end = at + size
        if self.end > MAX_BYTES:
            raise ArtifactError(
                f"native code needs at most {MAX_BYTES} bytes, but the objects want "
                f"more; compile the model again"
            )
        return at

    def _define_globals(self) -> None:
        for each in self.objects:
            for _, symbol in each.global_symbols:
                at = self._offset(each, symbol)
                if at is None or not symbol.name:
                    continue
                known = self.globals.get(symbol.name)
                if known is None or (known[0] == WEAK and symbol.binding != WEAK):
                    self.globals[symbol.name] = (symbol.binding, at)
                elif WEAK not in (known[0], symbol.binding) and known[1] != at:
                    raise ArtifactError(
                        f"objects need to define {symbol.name!r} once, but two do; "
                        f"give local symbols internal linkage"
                    )

    def _offset(self, each: ObjectFile, symbol: Symbol) -> int | None:
        """Where in the mapping an object defines a symbol, or None."""
        if symbol.section in (UNDEFINED, ABSOLUTE):
            return None
        if symbol.section == COMMON:
            return self.common.get(symbol.name)
        section = each.sections[symbol.section]
        if section.at < 0:
            return None
        if symbol.value > section.size:
            raise each.damaged(f"{symbol.name!r} inside its section, but it is outside")
        return section.at + symbol.value

    def _copy(self, each: ObjectFile) -> None:
        for section in each.sections:
            if section.at >= 0 and section.kind != NOBITS:
                end = section.offset + section.size
                contents = each.data[section.offset : end]
                self.mapping[section.at : section.at + section.size] = bytes(contents)

    def _relocate(self, each: ObjectFile) -> None:
        within = self._offsets_within(each)
        for section, entries in each.relocations():
            try:
                self._relocate_section(each, section, entries, within)
            except struct.error:
                raise each.damaged(
                    "relocations that fit in 32 bits, but one reaches too far"
                ) from None

    def _offsets_within(self, each: ObjectFile) -> list[int | None]:
        """Where in the mapping each symbol of an object is; None: look closer."""
        starts = [section.at for section in each.sections]
        sizes = [section.size if section.at >= 0 else -1 for section in each.sections]
        count = len(starts)
        within = [
            starts[section] + value
            if info < LOCAL_END and section < count and value <= sizes[section]
            else None
            for _, info, _, section, value, _ in each.symbols
        ]
        for number, symbol in each.global_symbols:
            if symbol.name in self.globals:
                within[number] = self.globals[symbol.name][1]
        return within

    def _relocate_section(
        self,
        each: ObjectFile,
        section: Section,
        entries: memoryview,
        within: list[int | None],
    ) -> None:
        """Patches one section; nearly every entry is a distance within the mapping."""
        place, last, mapping = section.at, section.size - 4, self.mapping
        count, pack = len(within), SIGNED_4.pack_into
        for offset, info, addend in RELOCATION.iter_unpack(entries):
            number, kind = info >> 32, info & 0xFFFFFFFF
            target = within[number] if number < count else None
            if target is None or kind not in DISTANCES:
                self._relocate_one(each, section, offset, info, addend)
                continue
            if offset > last:
                raise each.outside(offset)
            pack(mapping, place + offset, target + addend - place - offset)

    def _relocate_one(
        self, each: ObjectFile, section: Section, offset: int, info: int, addend: int
    ) -> None:
        kind, symbol = info & 0xFFFFFFFF, each.symbol(info >> 32)
        if kind == 0:  # R_X86_64_NONE
            return
        if kind not in RELOCATIONS:
            raise each.damaged(f"known relocations, but has one of type {kind}")
        what, minus, form = RELOCATIONS[kind]
        address = self.base + self.got
        if what != "GOT":
            address = self._address(each, symbol)
        if what == "L":
            address = self._stub(address)
        elif what == "G":
            address = self._slot(address)
        self._patch(each, section, offset, address + addend, minus, form)

    def _patch(
        self,
        each: ObjectFile,
        section: Section,
        offset: int,
        value: int,
        minus: str,
        form: struct.Struct,
    ) -> None:
        if offset > section.size - form.size:
            raise each.outside(offset)
        if minus:
            value -= self.base + (section.at + offset if minus == "P" else self.got)
        if form is WORD:  # addresses wrap around
            value &= 0xFFFFFFFFFFFFFFFF
        form.pack_into(self.mapping, section.at + offset, value)

    def _address(self, each: ObjectFile, symbol: Symbol) -> int:
        """The absolute address of a symbol of an object, 0 for an absent weak one."""
        if symbol.section == ABSOLUTE:
            return symbol.value
        if symbol.binding != LOCAL and symbol.name in self.globals:
            return self.base + self.globals[symbol.name][1]
        at = self._offset(each, symbol)
        if at is not None:
            return self.base + at
        if symbol.section != UNDEFINED:
            raise each.damaged(f"{symbol.name!r} to be loaded, but its section is not")
        if not symbol.name:
            return 0
        found = _external(symbol.name)
        if found is None and symbol.binding != WEAK:
            raise ArtifactError(
                f"native code needs the symbol {symbol.name!r}, but neither the "
                f"objects nor the C library define it; compile the model again here"
            )
        return found or 0

    def _slot(self, address: int) -> int:
        """The address of the GOT slot that holds `address`."""
        slot = self.got_used.get(address)
        if slot is None:
            at = self.got + 8 * len(self.got_used)
            WORD.pack_into(self.mapping, at, address)
            slot = self.got_used[address] = self.base + at
        return slot

    def _stub(self, address: int) -> int:
        """`address` itself within the mapping, or else of a stub that jumps there."""
        if self.base <= address < self.base + self.end:
            return address
        stub = self.stubs_used.get(address)
        if stub is None:
            at = self.stubs + 8 * len(self.stubs_used)
            jump = self._slot(address) - (self.base + at + 6)
            # jmp *slot(%rip); int3 int3
            self.mapping[at : at + 8] = b"\xff\x25" + SIGNED_4.pack(jump) + b"\xcc\xcc"
            stub = self.stubs_used[address] = self.base + at
        return stub

    def _protect(self) -> None:
        read_execute = mmap.PROT_READ | mmap.PROT_EXEC
        for start, end, access in (
            (0, self.constants, read_execute),
            (self.constants, self.writable, mmap.PROT_READ),
        ):
            if end > start and _libc().mprotect(self.base + start, end - start, access):
                raise RuntimeFailure(
                    f"native code needs executable memory, but mprotect failed: "
                    f"{os.strerror(ctypes.get_errno())}; allow it (SELinux: execmem)"
                )


@functools.cache
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    return libc


@functools.cache
def _libraries() -> tuple[ctypes.CDLL, ...]:
    """Where external symbols are looked for, in this order."""
    found = []
    for name in ("libm.so.6", "libc.so.6", "libpthread.so.0", None, "libgcc_s.so.1"):
        try:
            found.append(ctypes.CDLL(name))
        except OSError:  # another C library, where the process itself has them all
            continue
    return tuple(found)


@functools.cache
def _external(name: str) -> int | None:
    for library in _libraries():
        try:
            return ctypes.cast(library[name], ctypes.c_void_p).value
        except AttributeError:
            continue
    return None
