"""Pure functions on arrays; no input or output, no torch."""

from unbug.numerics.histogram import decode_histogram, encode_histogram
from unbug.numerics.statistics import derive, merge
from unbug.numerics.streak import first_streak

__all__ = ["decode_histogram", "derive", "encode_histogram", "first_streak", "merge"]
