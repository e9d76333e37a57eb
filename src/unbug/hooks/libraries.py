"""All that is watched in other libraries, by the module that defines it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from unbug.hooks.logs import LogListener
from unbug.hooks.on_files import file_families
from unbug.hooks.on_log import log_families
from unbug.hooks.on_settings import settings_families
from unbug.hooks.spec import Spec

__all__ = ["library_taps"]

Make = Callable[[], Sequence[Spec]]


def library_taps(to: LogListener) -> dict[str, Make]:
    """What `Late` taps, and whom the taps tell."""
    makers: dict[str, list[Make]] = {}
    for families in (log_families(to), settings_families(to), file_families(to)):
        for module, make in families.items():
            makers.setdefault(module, []).append(make)
    return {module: _together(made) for module, made in makers.items()}


def _together(makers: Sequence[Make]) -> Make:
    return lambda: [spec for make in makers for spec in make()]
