"""Let the processor take subnormal numbers for zero.

A product of floats below the smallest normal one (1.2e-38 for float32) takes an x86 processor up to
200 times as long. Weights of strangers can be full of such products, which no count of
multiply-adds shows.

Where the processor's control word is in the C library's `fenv_t` was taken from the headers of
glibc and musl, and is checked by a product before it is relied upon.
"""

from __future__ import annotations

import ctypes
import platform
import sys
from typing import Final

_ENV_WORDS: Final = 64
"""More 32-bit words than any `fenv_t` has."""

_CONTROL_WORDS: Final = {"x86_64": (7, 0x8040), "aarch64": (0, 1 << 24)}
"""For each kind of processor the word of `fenv_t` that holds the control word (MXCSR, FPCR), and
the bits that flush subnormal results and operands to zero."""


def flush_subnormals() -> bool:
    """Let this thread, and all threads that it starts from now on, take subnormal floats for zero.

    Call it before NumPy is imported, which may start threads of its own.

    Returns:
        Whether they do. False on systems other than Linux on x86-64 and ARM64.
    """
    control = _CONTROL_WORDS.get(platform.machine())
    if sys.platform != "linux" or control is None:
        return False
    word, bits = control
    library = ctypes.CDLL(None)
    before, environment = (ctypes.c_uint32 * _ENV_WORDS)(), (ctypes.c_uint32 * _ENV_WORDS)()
    if library.fegetenv(before) or library.fegetenv(environment):
        return False
    environment[word] |= bits
    if library.fesetenv(environment) == 0 and are_subnormals_flushed():
        return True
    library.fesetenv(before)
    return False


def are_subnormals_flushed() -> bool:
    """Tell whether this thread takes subnormal floats for zero.

    Returns:
        True when half of the smallest normal float64 is zero.
    """
    smallest, half = sys.float_info.min, 0.5
    return smallest * half == 0.0
