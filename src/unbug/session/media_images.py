"""`unbug.Image` and `unbug.Figure`: pictures from arrays and from plotting libraries."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from unbug.errors import MediaError
from unbug.session.arrays import array_of, described
from unbug.session.media_kinds import Encoded, Piece

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Figure", "Image"]

MOST, LONGEST = 16, 2048
"""Images kept of a batch; pixels of a side, above which every n-th row and column is kept."""
_LAYOUTS = ("HW", "HWC", "CHW", "NHW", "NHWC", "NCHW")
_HINT = "give HW, HWC, CHW or a batch of these with 1, 3 or 4 channels, and `layout=` where it cannot be told"
_BAD = (255, 0, 255)
"""Pixels that are NaN or infinite."""


class Image:
    """A picture, or a batch of them, of which the first 16 are kept.

    Args:
        data: Array of numpy, tensor of torch, or an image of PIL: HW, HWC, CHW, or a batch NHWC or NCHW.
        caption: Of all, or one for each of a batch.
        layout: One of `HW`, `HWC`, `CHW`, `NHW`, `NHWC`, `NCHW`. By default told by which axis has 1, 3 or 4
            elements; where both could be channels, a tensor has them first and an array last.
        low, high: Values that become black and white. By default 0 and 255 for bytes, 0 and 1 for other
            numbers between these, else the least and the largest, which are kept with the picture.
    Raises:
        MediaError: it has no such shape.
    """

    def __init__(
        self,
        data: Any,
        *,
        caption: str | Sequence[str] = "",
        layout: str | None = None,
        low: float | None = None,
        high: float | None = None,
    ) -> None:
        if layout is not None and layout not in _LAYOUTS:
            raise MediaError(
                "Image",
                f"layout {layout!r}",
                "there is no such layout",
                f"it is one of {', '.join(_LAYOUTS)}",
            )
        if type(data).__module__.startswith("PIL."):
            data, layout = _of_pil(data), None
        array = array_of("Image", data)
        tensor = callable(getattr(data, "detach", None))
        batch, self._of = _batch(array, layout or _layout(array, tensor), described(data))
        self._pixels, self._every = _smaller(batch)
        self._low, self._high = low, high
        self._captions = [caption] * len(batch) if isinstance(caption, str) else [str(one) for one in caption]
        self._shape = batch.shape[1:]

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """One for each picture."""
        size = self._pixels[0].nbytes
        fields = {
            "of": self._of,
            "height": self._shape[0],
            "width": self._shape[1],
            "channels": self._shape[2],
        }
        if self._every > 1:
            fields["every"] = self._every
        return tuple(
            Piece(
                kind="image",
                suffix="png",
                encode=partial(self._encode, index),
                size_bytes=size,
                fields={**fields, "index": index, "caption": caption},
            )
            for index, caption in zip(range(len(self._pixels)), [*self._captions, *[""] * MOST], strict=False)
        )

    def _encode(self, index: int, redact: Callable[[str], str]) -> Encoded:
        from unbug.session.png import png

        low, high = self._limits
        bytes_, nonfinite = _bytes(self._pixels[index], low, high)
        return png(bytes_), {"low": low, "high": high, "nonfinite": nonfinite}

    @cached_property
    def _limits(self) -> tuple[float, float]:
        """The same for all of a batch, so that they can be compared."""
        import numpy as np

        pixels = self._pixels
        kind = pixels.dtype.kind
        if kind == "b":
            found = (0.0, 1.0)
        elif pixels.dtype == np.uint8:
            found = (0.0, 255.0)
        else:
            finite = pixels[np.isfinite(pixels)] if kind == "f" else pixels
            least, largest = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
            if least >= 0 and largest <= (1 if kind == "f" else 255):
                found = (0.0, 1.0 if kind == "f" else 255.0)
            else:
                found = (least, largest)
        return (found[0] if self._low is None else self._low, found[1] if self._high is None else self._high)


class Figure:
    """A figure of matplotlib, kept as a picture, or of plotly, kept as its JSON.

    Args:
        dots: Dots an inch, of matplotlib.
    Raises:
        MediaError: it is neither.
    """

    def __init__(self, figure: Any, *, caption: str = "", dots: int = 100) -> None:
        hint = "give a figure of matplotlib or plotly"
        if callable(getattr(figure, "savefig", None)):
            out = io.BytesIO()
            figure.savefig(
                out, format="png", dpi=dots, bbox_inches="tight"
            )  # not thread-safe: drawn here and now
            data, suffix, made_by = out.getvalue(), "png", "matplotlib"
        elif callable(getattr(figure, "to_plotly_json", None)) and callable(getattr(figure, "to_json", None)):
            data, suffix, made_by = figure.to_json().encode(), "json", "plotly"
        else:
            raise MediaError("Figure", described(figure), "it is no figure", hint)
        self._piece = Piece(
            kind="figure",
            suffix=suffix,
            encode=lambda redact: (data if suffix == "png" else redact(data.decode()).encode(), {}),
            size_bytes=len(data),
            fields={"caption": caption, "made_by": made_by},
        )

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """The one."""
        return (self._piece,)


def _of_pil(image: Any) -> NDArray[Any]:
    import numpy as np

    kept = (
        image
        if image.mode in ("L", "RGB", "RGBA")
        else image.convert("RGBA" if "A" in image.getbands() else "RGB")
    )
    return np.asarray(kept)


def _layout(array: NDArray[Any], tensor: bool) -> str:
    shape = array.shape
    if len(shape) == 2:
        return "HW"
    if len(shape) not in (3, 4):
        raise MediaError("Image", described(array), f"it has {len(shape)} axes", _HINT)
    first, last = shape[-3] in (1, 3, 4), shape[-1] in (1, 3, 4)
    if not (first or last):
        raise MediaError("Image", described(array), "no axis of it can be channels", _HINT)
    inner = "CHW" if first and (tensor or not last) else "HWC"
    return inner if len(shape) == 3 else f"N{inner}"


def _batch(array: NDArray[Any], layout: str, told: str) -> tuple[NDArray[Any], int]:
    """As NHWC, at most `MOST` of it, without a copy; and how many there were."""
    if array.ndim != len(layout):
        raise MediaError("Image", told, f"layout {layout} has {len(layout)} axes", _HINT)
    axes = dict(zip(layout, range(array.ndim), strict=True))
    array = array.transpose([axes[name] for name in "NHWC" if name in axes])
    if "C" not in axes:
        array = array[..., None]
    if "N" not in axes:
        array = array[None]
    if array.shape[-1] not in (1, 3, 4):
        raise MediaError("Image", told, f"it has {array.shape[-1]} channels", _HINT)
    return array[:MOST], array.shape[0]


def _smaller(batch: NDArray[Any]) -> tuple[NDArray[Any], int]:
    """A copy, of every n-th pixel where there are too many."""
    import numpy as np

    every = max(1, -(-max(batch.shape[1:3]) // LONGEST))
    return np.array(batch[:, ::every, ::every], order="K"), every


def _bytes(pixels: NDArray[Any], low: float, high: float) -> tuple[NDArray[np.uint8], int]:
    """One picture as bytes, and how many of its pixels are not finite."""
    import numpy as np

    if pixels.dtype == np.uint8 and (low, high) == (0.0, 255.0):
        return pixels, 0
    values = pixels.astype(np.float64)
    good = np.isfinite(values).all(axis=-1)
    values[~np.isfinite(values)] = 0.0
    half = high / 2 - low / 2  # the whole may be too much for a double
    scale = 127.5 / half if half > 1e-300 else 0.0
    with np.errstate(over="ignore"):
        shown = np.clip((values / 2 - low / 2) * scale * 2, 0, 255)
    out = np.rint(shown).astype(np.uint8)
    bad = int(good.size - good.sum())
    if bad:
        if out.shape[-1] == 1:
            out = np.repeat(out, 3, axis=-1)
        out[~good] = (*_BAD, 255)[: out.shape[-1]]
    return out, bad
