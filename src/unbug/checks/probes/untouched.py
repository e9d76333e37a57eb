"""Leaves the program as it was: generators, modes, printing and warnings are the same after a probe."""

from __future__ import annotations

import io
import random
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout

import torch

__all__ = ["SEED", "untouched"]

SEED = 20240229


@contextmanager
def untouched() -> Iterator[None]:
    """Run what is inside with generators of a fixed seed, gradients on, autocast off, nothing said aloud."""
    with ExitStack() as stack:
        stack.callback(torch.default_generator.set_state, torch.default_generator.get_state())
        if torch.cuda.is_initialized():
            stack.callback(torch.cuda.set_rng_state_all, torch.cuda.get_rng_state_all())
        stack.callback(random.setstate, random.getstate())
        numpy_random = sys.modules.get("numpy.random")
        if numpy_random is not None:
            stack.callback(numpy_random.set_state, numpy_random.get_state())
        dtype = torch.get_default_dtype()
        stack.callback(torch.set_default_dtype, dtype)
        stack.callback(_put_back, list(warnings.filters))
        # Not by `catch_warnings`: that makes Python show again what it has shown once.
        warnings.filters.insert(0, ("ignore", None, Warning, None, 0))  # type: ignore[attr-defined]
        stack.enter_context(redirect_stdout(io.StringIO()))
        stack.enter_context(redirect_stderr(io.StringIO()))
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(torch.autocast("cpu", enabled=False))
        torch.default_generator.manual_seed(SEED)
        random.seed(SEED)
        if numpy_random is not None:
            numpy_random.seed(SEED)
        yield


def _put_back(filters: list[object]) -> None:
    """The same list object, with what it held: assigning another would be noticed by nobody, but changing its
    version would."""
    warnings.filters[:] = filters  # type: ignore[index]
