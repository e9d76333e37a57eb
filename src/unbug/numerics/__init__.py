"""Pure functions on arrays; no input or output, no torch."""

from unbug.numerics.exponents import exponent_counts
from unbug.numerics.histogram import decode_histogram, encode_histogram
from unbug.numerics.native import (
    KINDS,
    MOST_DIMENSIONS,
    Kernel,
    Memory,
    kernel_state,
    open_kernel,
    use_instructions,
)
from unbug.numerics.ranges import NARROW_TYPES, RangeShares, range_shares
from unbug.numerics.statistics import derive, merge
from unbug.numerics.streak import first_streak
from unbug.numerics.summary import CHUNK, Scratch, chunked, summarize

__all__ = [
    "CHUNK",
    "KINDS",
    "MOST_DIMENSIONS",
    "NARROW_TYPES",
    "Kernel",
    "Memory",
    "RangeShares",
    "Scratch",
    "chunked",
    "decode_histogram",
    "derive",
    "encode_histogram",
    "exponent_counts",
    "first_streak",
    "kernel_state",
    "merge",
    "open_kernel",
    "range_shares",
    "summarize",
    "use_instructions",
]
