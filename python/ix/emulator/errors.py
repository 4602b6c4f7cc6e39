"""The faults that the emulator finds in a kernel, and in how it is launched.

EmulatorError                 (an ix.errors.IxError)
├── PtxSyntaxError            the text is no PTX that the parser knows
├── UnsupportedInstruction    an instruction or modifier that is not emulated
├── LaunchError               sizes, arguments or shared memory that do not fit
└── KernelFault               the kernel did something wrong while it ran
    ├── OutOfBoundsError      an access outside every allocation or variable
    ├── MisalignedError       an address that is no multiple of the access size
    ├── UninitialisedError    a read of bytes that nobody has written
    ├── RaceError             two accesses that nothing orders
    ├── DeadlockError         threads that wait for what never comes
    ├── DivergenceError       an aligned instruction that part of a warp executes
    ├── BarrierError          a barrier that is used against its rules
    ├── StepLimitError        the kernel runs longer than the step limit
    └── TrapError             the kernel executed `trap`

A message reads `<kernel, PTX line, thread, source>: '<op>' needs <requirement>, but
<fact>; <remedy>`.
"""

from __future__ import annotations

from ix.errors import IxError

__all__ = [
    "BarrierError",
    "DeadlockError",
    "DivergenceError",
    "EmulatorError",
    "KernelFault",
    "LaunchError",
    "MisalignedError",
    "OutOfBoundsError",
    "PtxSyntaxError",
    "RaceError",
    "StepLimitError",
    "TrapError",
    "UninitialisedError",
    "UnsupportedInstruction",
]


class EmulatorError(IxError):
    """The base of everything that the emulator reports."""


class PtxSyntaxError(EmulatorError):
    """The text is no PTX that the parser knows; names the line."""


class UnsupportedInstruction(EmulatorError):
    """An instruction, modifier or operand that is not emulated; names the line."""


class LaunchError(EmulatorError):
    """A launch that the driver would refuse as well."""


class KernelFault(EmulatorError):
    """The kernel did something wrong while it ran.

    Attributes:
        kernel: The name of the entry.
        line: The line of the PTX text, from 1; 0 where no instruction is at fault.
    """

    kernel: str = ""
    line: int = 0


class OutOfBoundsError(KernelFault):
    """An access outside every allocation or variable."""


class MisalignedError(KernelFault):
    """An address that is no multiple of what the access needs."""


class UninitialisedError(KernelFault):
    """A read of bytes that nobody has written."""


class RaceError(KernelFault):
    """Two accesses of the same bytes, one of them a write, that nothing orders."""


class DeadlockError(KernelFault):
    """Threads that wait for what never comes."""


class DivergenceError(KernelFault):
    """An aligned instruction that only a part of a warp or warpgroup executes."""


class BarrierError(KernelFault):
    """A barrier or mbarrier that is used against its rules."""


class StepLimitError(KernelFault):
    """The kernel runs longer than the step limit allows."""


class TrapError(KernelFault):
    """The kernel executed `trap`."""
