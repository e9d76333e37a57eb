"""What narrower floating-point types would lose of a training's numbers, from the exponents recorded."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unbug.store import Reader

__all__ = ["range_lines", "ranges"]

_TOLD = ("float16", "bfloat16")
"""Types a terminal line is spent on; those of eight bits are always used with scales."""
_WORTH_TELLING = 1e-3
_QUANTITIES = {"weight": "weights", "grad": "gradients", "activation": "outputs"}


def ranges(reader: Reader, training: int) -> dict[str, dict[str, dict[str, Any]]]:
    """By type and quantity the largest shares lost at any place, at the place's last look.

    Returns:
        `{type: {quantity: {"underflow", "underflow_place", "overflow", "overflow_place"}}}`; empty where no
        exponents were recorded.
    """
    from unbug.numerics import NARROW_TYPES, decode_histogram, range_shares
    from unbug.store import RunReader

    found: dict[str, dict[str, dict[str, Any]]] = {}
    for series in reader.series() if isinstance(reader, RunReader) else ():
        quantity = series.name.removesuffix(".exponents")
        if quantity == series.name or quantity not in _QUANTITIES or series.place.training != training:
            continue
        blobs = list(reader.blobs(series))
        if not blobs:
            continue
        try:
            histogram = decode_histogram(blobs[-1][2], *blobs[-1][:2])
        except ValueError:
            continue
        for kind in NARROW_TYPES:
            shares = range_shares(histogram, kind)
            worst = found.setdefault(kind, {}).setdefault(
                quantity,
                {"underflow": 0.0, "underflow_place": None, "overflow": 0.0, "overflow_place": None},
            )
            for way, share in (("underflow", shares.underflow), ("overflow", shares.overflow)):
                if math.isfinite(share) and share > worst[way]:
                    worst[way], worst[f"{way}_place"] = share, series.place.path
    return found


def range_lines(seen: dict[str, dict[str, dict[str, Any]]]) -> Iterator[str]:
    """A line for each type that would lose something worth telling."""
    for kind in _TOLD:
        parts = []
        for quantity, worst in seen.get(kind, {}).items():
            for way, what in (("underflow", "become 0"), ("overflow", "overflow")):
                share = worst[way]
                if share >= _WORTH_TELLING:
                    place = worst[f"{way}_place"]
                    parts.append(f"up to {share:.1%} of the {_QUANTITIES[quantity]} {what} ({place})")
        if parts:
            yield f"in {kind}  {', '.join(parts)}"
