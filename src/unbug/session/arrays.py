"""Arrays of whatever kind a program has them, as numpy's. No framework is imported for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unbug.errors import MediaError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["array_of", "described", "thinned"]


def array_of(kind: str, given: Any) -> NDArray[Any]:
    """Numbers as a numpy array, without a copy where there need be none.

    Raises:
        MediaError: they are none, or complex, or of unequal lengths.
    """
    import numpy as np

    if callable(getattr(given, "detach", None)):  # a tensor of torch
        given = given.detach().cpu()
        if str(given.dtype) in ("torch.bfloat16", "torch.float8_e4m3fn", "torch.float8_e5m2"):
            given = given.float()
        given = (
            given.resolve_conj().resolve_neg().numpy()
            if not given.is_quantized
            else given.dequantize().numpy()
        )
    try:
        array = np.asarray(given)
    except (ValueError, TypeError) as error:
        raise MediaError(
            kind, described(given), f"it is no array: {error}", "give an array of numbers"
        ) from None
    if array.dtype.kind not in "biuf":
        why = "its elements are objects" if array.dtype == object else f"its elements are {array.dtype}"
        raise MediaError(kind, described(given), why, "give real numbers")
    if array.size == 0:
        raise MediaError(kind, described(given), "it is empty", "give at least one element")
    return array


def described(given: Any) -> str:
    """A value in a message: its class and shape, not its contents."""
    kind, shape = type(given).__name__, getattr(given, "shape", None)
    try:
        return kind if shape is None else f"{kind} of shape {tuple(shape)}"
    except TypeError:
        return kind


def thinned(array: NDArray[Any], most: int) -> tuple[NDArray[Any], int]:
    """A copy of every n-th element of a flattened array, such that there are at most `most`; and n."""
    import numpy as np

    flat = array.reshape(-1) if array.flags.c_contiguous else array.ravel(order="K")
    every = max(1, -(-flat.size // most))
    return np.array(flat[::every]), every
