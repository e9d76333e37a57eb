"""Probes at the end of a program that finished: when they are run, for how long, and what is told of them."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from unbug.session.display import in_notebook
from unbug.types import Phase, RunState

if TYPE_CHECKING:
    from unbug.checks import Asked
    from unbug.record import KeptBatches
    from unbug.session.ending import Ending
    from unbug.session.recording import Recording
    from unbug.settings import Settings

__all__ = ["LEAST_S", "MOST_S", "SHARE", "allowed_s", "keeps_batches", "probe"]

MOST_S, SHARE, LEAST_S = 5.0, 0.1, 1.0
"""Probes take at most so long, and at most this share of the run; a short run is probed for so long, too."""
_SPARE_S = 0.15
"""Of that, for what is not theirs: to begin, to end a process, to write."""


def allowed_s(run_s: float) -> float:
    """Seconds that probes may take after a run of so many."""
    return min(MOST_S, max(SHARE * run_s, LEAST_S))


def keeps_batches(settings: Settings) -> bool:
    """Whether probes may be wanted at the end."""
    return bool(settings["probes"]) and not (in_notebook() and settings.origin("probes") == "default")


def probe(recording: Recording, ending: Ending, *, stop: Callable[[], bool]) -> float:
    """Run the probes and write what they found; the models and batches kept for them are let go.

    Called when nothing of torch is watched any more, so that nothing of this is recorded.

    Returns:
        The seconds that it took.
    """
    began = time.monotonic()
    kept = recording.observer.kept
    if kept is None:
        return 0.0
    try:
        with recording.faults.guard("probes"):
            why_not = _why_not(recording, ending)
            if why_not:
                _tell(recording, (), began, why_not=why_not)
            elif kept.models:
                limit_s = allowed_s(began - recording.began_s) - _SPARE_S
                asked, apart = _ask(kept, limit_s, stop, training=recording.observer.position()[0])
                _tell(recording, asked, began, apart=apart)
    finally:
        kept.let_go()
    return time.monotonic() - began


def _ask(
    kept: KeptBatches, limit_s: float, stop: Callable[[], bool], *, training: int
) -> tuple[Sequence[Asked], Mapping[str, Any]]:
    """What came of the probes; and, where they had a process of their own, the memory that it took."""
    from unbug.checks import ask_probes, can_be_apart, in_child, run_probes

    if can_be_apart():
        apart = in_child(
            lambda: ask_probes(kept, limit_s=limit_s, alone=True),
            limit_s=limit_s,
            stop=stop,
            training=training,
        )
        if apart is not None:
            return apart.asked, {"apart": True, "peak_mb": apart.peak_mb}
    return run_probes(kept, limit_s=limit_s, stop=stop), {"apart": False}


def _why_not(recording: Recording, ending: Ending) -> str:
    if not recording.settings["probes"]:
        return "they are switched off"
    if ending.state is not RunState.FINISHED:
        return "the program did not finish"
    if not keeps_batches(recording.settings):
        return "in a notebook only `probes = true` asks for them"
    torch = sys.modules.get("torch")
    distributed = getattr(torch, "distributed", None)
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        return "the program belongs to a process group"
    return ""


def _tell(
    recording: Recording,
    asked: Iterable[Asked],
    began: float,
    *,
    why_not: str = "",
    apart: Mapping[str, Any] | None = None,
) -> None:
    writer, step = recording.writer, recording.observer.position()[1]
    every = list(asked)
    for one in every:
        _event(writer, one.fields(), training=one.training, step=step)
    total: dict[str, Any] = {
        "probe": "all",
        "seconds": round(time.monotonic() - began, 4),
        "limit_s": round(allowed_s(began - recording.began_s), 3),
        "possible": not why_not,
        "why_not": why_not,
        "run": sorted({one.probe for one in every if not one.why_not}),
        **(apart or {}),
    }
    training = every[0].training if every else recording.observer.position()[0]
    _event(writer, total, training=training, step=step)


def _event(writer: Any, fields: dict[str, Any], *, training: int, step: int) -> None:
    writer.event("probe", fields, t_ns=time.monotonic_ns(), training=training, step=step, phase=Phase.OTHER)
