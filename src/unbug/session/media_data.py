"""`unbug.Text`, `unbug.Audio` and `unbug.Histogram`."""

from __future__ import annotations

import io
import math
import wave
from collections.abc import Callable
from typing import Any

from unbug.errors import MediaError
from unbug.session.arrays import array_of, described, thinned
from unbug.session.media_kinds import Encoded, Piece
from unbug.session.media_table import json_bytes

__all__ = ["Audio", "Histogram", "Text"]

CHARACTERS = 1_000_000
SECONDS = 600
ELEMENTS = 1_000_000
_PREVIEW = 200


class Text:
    """A text: a sample, a prompt and its completion, a note. Kept up to a million characters.

    Raises:
        MediaError: it is no text.
    """

    def __init__(self, text: str, *, caption: str = "") -> None:
        if not isinstance(text, str):
            raise MediaError("Text", described(text), "it is no text", "give `str(...)` of it")
        kept = text[:CHARACTERS]
        fields: dict[str, Any] = {"caption": caption, "characters": len(text), "preview": kept[:_PREVIEW]}
        if len(kept) < len(text):
            fields["kept_characters"] = len(kept)
        self._piece = Piece(
            kind="text",
            suffix="txt",
            encode=lambda redact: (redact(kept).encode("utf-8", "replace"), {}),
            size_bytes=len(kept),
            fields=fields,
        )

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """The one."""
        return (self._piece,)


class Audio:
    """A sound, kept as WAV with 16 bits, up to ten minutes.

    Args:
        data: `(samples,)`, `(channels, samples)` or `(samples, channels)`: numbers in [-1, 1], or 16-bit
            integers. Louder ones are scaled down.
        rate: Samples a second.
    Raises:
        MediaError: it has no such shape, or the rate is none.
    """

    def __init__(self, data: Any, rate: int, *, caption: str = "") -> None:
        import numpy as np

        if isinstance(rate, bool) or not isinstance(rate, int) or not 1 <= rate <= 1_000_000:
            raise MediaError(
                "Audio", f"rate {rate!r}", "it is no rate", "give samples a second, such as 16000"
            )
        array = array_of("Audio", data)
        if array.ndim == 1:
            array = array[:, None]
        elif array.ndim == 2 and array.shape[0] < array.shape[1]:
            array = array.T
        if array.ndim != 2 or array.shape[1] > 8:
            hint = "give (samples,), (channels, samples) or (samples, channels), at most 8 channels"
            raise MediaError("Audio", described(data), "it is no sound", hint)
        samples = np.array(array[: SECONDS * rate])
        self._piece = Piece(
            kind="audio",
            suffix="wav",
            encode=lambda redact: _wav(samples, rate),
            size_bytes=samples.nbytes,
            fields={
                "caption": caption,
                "rate": rate,
                "channels": array.shape[1],
                "duration_s": round(len(array) / rate, 6),
            },
        )

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """The one."""
        return (self._piece,)


class Histogram:
    """How many numbers lie in each of equally wide bins.

    Args:
        data: Numbers of any shape; of more than a million, every n-th is counted. Or None, with `counts`.
        bins: Number of bins between the least and the largest finite value.
        counts, edges: A histogram that is counted already; one edge more than counts.
    Raises:
        MediaError: there are no numbers, or edges and counts do not fit.
    """

    def __init__(
        self,
        data: Any = None,
        *,
        bins: int = 64,
        counts: Any = None,
        edges: Any = None,
        caption: str = "",
    ) -> None:
        fields: dict[str, Any] = {"caption": caption}
        if (data is None) == (counts is None) or (counts is None) != (edges is None):
            raise MediaError(
                "Histogram", described(data), "it needs data, or counts and edges", "give one of both"
            )
        if counts is not None:
            numbers, borders = (
                array_of("Histogram", counts).reshape(-1),
                array_of("Histogram", edges).reshape(-1),
            )
            if len(borders) != len(numbers) + 1 or len(numbers) > 100_000:
                hint = "give one edge more than counts, at most 100,000"
                raise MediaError(
                    "Histogram", f"{len(numbers)} counts and {len(borders)} edges", "they do not fit", hint
                )
            made = {"counts": [float(one) for one in numbers], "edges": [float(one) for one in borders]}
            encode: Callable[[Callable[[str], str]], Encoded] = lambda redact: (json_bytes(made), {})  # noqa: E731
            size = 16 * len(numbers)
        else:
            if isinstance(bins, bool) or not isinstance(bins, int) or not 1 <= bins <= 10_000:
                raise MediaError(
                    "Histogram", f"bins {bins!r}", "they are no number of bins", "give 1 to 10,000"
                )
            array = array_of("Histogram", data)
            sample, every = thinned(array, ELEMENTS)
            fields |= {"elements": int(array.size), "every": every}
            encode, size = (lambda redact: _counted(sample, bins)), sample.nbytes
        self._piece = Piece(kind="histogram", suffix="json", encode=encode, size_bytes=size, fields=fields)

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """The one."""
        return (self._piece,)


def _wav(samples: Any, rate: int) -> Encoded:
    import numpy as np

    found: dict[str, Any] = {}
    if samples.dtype != np.int16:
        values = samples.astype(np.float64)
        if samples.dtype.kind in "iu":
            values /= float(np.iinfo(samples.dtype).max)
        bad = ~np.isfinite(values)
        values[bad] = 0.0
        peak = float(np.abs(values).max())
        if peak > 1:
            values /= peak
            found["scaled_by"] = 1 / peak
        if bad.any():
            found["nonfinite"] = int(bad.sum())
        samples = np.rint(values * 32767).astype("<i2")
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.ascontiguousarray(samples, "<i2").tobytes())
    return out.getvalue(), found


def _counted(sample: Any, bins: int) -> Encoded:
    import numpy as np

    values = sample.astype(np.float64)
    finite = values[np.isfinite(values)]
    found = {"nonfinite": int(values.size - finite.size)}
    if not finite.size:
        return json_bytes({"counts": [], "edges": []}), found
    low, high = float(finite.min()), float(finite.max())
    with np.errstate(over="ignore"):
        if not math.isfinite(high - low):  # a span that doubles cannot hold
            finite, low, high = np.clip(finite, -1e300, 1e300), max(low, -1e300), min(high, 1e300)
    least = max(abs(low), abs(high)) * 2.0**-48 * bins or 1.0  # or bins would have no width
    if high - low < max(least, 1e-290):
        middle = low / 2 + high / 2
        low, high = middle - max(least, 0.5e-290), middle + max(least, 0.5e-290)
    counts, edges = np.histogram(finite, bins=bins, range=(low, high))
    return json_bytes({"counts": counts.tolist(), "edges": edges.tolist()}), found
