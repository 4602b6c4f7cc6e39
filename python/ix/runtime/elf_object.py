"""Reads relocatable ELF64 objects for x86-64, checking every offset and count.

Nothing in a file is believed: whatever `ObjectFile` holds lies inside the file, and
what the loader does not know how to load is refused by name.

Source: System V ABI (gABI), "Object Files"; its AMD64 supplement, chapter 4.
"""

from __future__ import annotations

import functools
import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from ix.errors import ArtifactError

__all__ = [
    "ABSOLUTE",
    "ALLOC",
    "COMMON",
    "EXECUTE",
    "LOCAL",
    "LOCAL_END",
    "MAX_BYTES",
    "NOBITS",
    "PAGE",
    "RELOCATION",
    "UNDEFINED",
    "WEAK",
    "WRITE",
    "ObjectFile",
    "Section",
    "Symbol",
]

MAX_BYTES: Final = 1 << 30  # within what a 32-bit displacement reaches
PAGE: Final = mmap.PAGESIZE

HEADER: Final = struct.Struct("<16sHHIQQQIHHHHHH")
SECTION: Final = struct.Struct("<IIQQQQIIQQ")
SYMBOL: Final = struct.Struct("<IBBHQQ")
RELOCATION: Final = struct.Struct("<QQq")

PROGBITS, SYMTAB, STRTAB, RELA, NOBITS, REL = 1, 2, 3, 4, 8, 9
NOTE, SYMTAB_SHNDX, UNWIND = 7, 18, 0x70000001
WRITE, ALLOC, EXECUTE, TLS = 0x1, 0x2, 0x4, 0x400
UNDEFINED, RESERVED, ABSOLUTE, COMMON = 0, 0xFF00, 0xFFF1, 0xFFF2
LOCAL, WEAK, THREAD_LOCAL = 0, 2, 6
LOCAL_END: Final = 16  # symbols whose info is less are local


@dataclass(slots=True)
class Section:
    kind: int
    flags: int
    offset: int
    size: int
    align: int
    link: int
    info: int
    at: int = -1  # offset in the mapping, or -1


CONSTRUCTORS: Final = (b".ctors", b".dtors")  # older systems: by name, not by type


RawSymbol = tuple[int, int, int, int, int, int]
"""An entry of the symbol table: name, info, other, section, value, size."""


@dataclass(slots=True)
class Symbol:
    name: str
    binding: int
    section: int
    value: int  # offset in the section; alignment of a COMMON symbol
    size: int


@dataclass
class ObjectFile:
    """The sections and symbols of one file, every offset checked."""

    data: memoryview
    number: int
    sections: list[Section] = field(default_factory=list)
    symbols: list[RawSymbol] = field(default_factory=list)
    names: bytes = b""

    def __post_init__(self) -> None:
        self._read_sections()
        tables = [s for s in self.sections if s.kind == SYMTAB]
        if len(tables) > 1:
            raise self.damaged(f"one symbol table, but it has {len(tables)}")
        for table in tables:
            self._read_symbols(table)

    def damaged(self, requirement: str) -> ArtifactError:
        """The error for a file that breaks `requirement, but fact`."""
        return ArtifactError(
            f"object {self.number} needs {requirement}; compile the model again"
        )

    def outside(self, offset: int) -> ArtifactError:
        return self.damaged(
            f"relocations inside their section, but has one at {offset}"
        )

    def piece(self, offset: int, size: int, what: str) -> memoryview:
        if offset + size > len(self.data):
            raise self.damaged(
                f"bytes {offset}..{offset + size} for its {what}, but it has "
                f"{len(self.data)}"
            )
        return self.data[offset : offset + size]

    def relocations(self) -> Iterator[tuple[Section, memoryview]]:
        """The relocation entries of each section that is loaded."""
        for section in self.sections:
            if section.kind not in (RELA, REL):
                continue
            if section.info >= len(self.sections):
                raise self.damaged(
                    f"a section {section.info} to relocate, but has none"
                )
            target = self.sections[section.info]
            if not target.flags & ALLOC:
                continue
            if section.kind == REL or target.kind == NOBITS:
                raise self.damaged("relocations with addends in sections with contents")
            if section.size % RELOCATION.size:
                raise self.damaged("whole relocations, but the last one is cut short")
            yield target, self.piece(section.offset, section.size, "relocations")

    def _read_sections(self) -> None:
        header = HEADER.unpack(self.piece(0, HEADER.size, "header"))
        ident, kind, machine, _, _, _, table = header[:7]
        entry, count, names = header[11:]
        if ident[:7] != b"\x7fELF\x02\x01\x01":
            raise self.damaged("the header of a little-endian ELF64 file")
        if (kind, machine) != (1, 62):
            raise self.damaged(
                f"to be relocatable code for x86-64 (type 1, machine 62), but it is of "
                f"type {kind}, machine {machine}"
            )
        if entry != SECTION.size or not 0 < count < RESERVED or names >= count:
            raise self.damaged(f"1 to {RESERVED - 1} named section headers of 64 bytes")
        headers = list(
            SECTION.iter_unpack(self.piece(table, count * entry, "section headers"))
        )
        at, size = headers[names][4:6]
        strings = bytes(self.piece(at, size, "names of sections"))
        for name, kind, flags, _, offset, size, link, info, align, _ in headers:
            section = Section(kind, flags, offset, size, align or 1, link, info)
            self._check(section, strings[name : name + 6])
            self.sections.append(section)

    def _check(self, section: Section, name: bytes) -> None:
        if not section.flags & ALLOC:
            return
        plain = section.kind in (PROGBITS, NOBITS, NOTE, UNWIND)
        if not plain or section.flags & TLS or name in CONSTRUCTORS:
            raise self.damaged(
                f"plain code and data, but has a section of type {section.kind:#x} and "
                f"flags {section.flags:#x} (constructors and thread-locals are unknown)"
            )
        if section.flags & WRITE and section.flags & EXECUTE:
            raise self.damaged("sections that are not both writable and executable")
        if section.align & (section.align - 1) or section.align > PAGE:
            raise self.damaged(f"alignments up to {PAGE}, but has {section.align}")
        if section.size > MAX_BYTES:
            raise self.damaged(f"at most {MAX_BYTES} bytes, but wants {section.size}")
        if section.kind != NOBITS:
            self.piece(section.offset, section.size, "section")

    def _read_symbols(self, table: Section) -> None:
        if table.size % SYMBOL.size or table.link >= len(self.sections):
            raise self.damaged("a whole symbol table with names")
        strings = self.sections[table.link]
        names = self.piece(strings.offset, strings.size, "names of symbols")
        entries = self.piece(table.offset, table.size, "symbols")
        self.names = bytes(names)
        self.symbols = list(SYMBOL.iter_unpack(entries))

    def symbol(self, number: int) -> Symbol:
        """A symbol with its name; an object has many that nobody looks at."""
        if number >= len(self.symbols):
            raise self.damaged(f"a symbol {number} to relocate by, but has none")
        name, info, _, section, value, size = self.symbols[number]
        end = self.names.find(b"\0", name)
        if end < 0:
            raise self.damaged(f"a name at {name} of its names of symbols")
        if section >= len(self.sections) and section not in (ABSOLUTE, COMMON):
            raise self.damaged(f"a section {section} for a symbol, but has none")
        if info & 15 == THREAD_LOCAL:
            raise self.damaged("no thread-local symbols, but has one")
        text = self.names[name:end].decode("utf-8", "backslashreplace")
        return Symbol(text, info >> 4, section, value, size)

    @functools.cached_property
    def global_symbols(self) -> list[tuple[int, Symbol]]:
        """The symbols that other objects may see, with their numbers."""
        return [
            (number, self.symbol(number))
            for number, symbol in enumerate(self.symbols)
            if symbol[1] >= LOCAL_END
        ]
