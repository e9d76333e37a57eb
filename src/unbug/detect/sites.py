"""Call sites of losses: what the calls of one line were given, over the steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from unbug.types import Bilingual, Evidence, Phase, Source

if TYPE_CHECKING:
    from unbug.detect.track import Track
    from unbug.detect.window import Window

__all__ = ["Held", "Site", "evaluated", "loss_sites", "trained_sites"]

Profile = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Held:
    """Steps over which a condition on a profile held.

    Args:
        since, last: First and last step.
        known_at: Step at which enough calls had been seen.
        profile: What was known then.
    """

    since: int
    known_at: int
    last: int
    profile: Profile


@dataclass(frozen=True, kw_only=True)
class Site:
    """One loss function called from one line in one phase.

    Args:
        profiles: `(step, fields of the event)` in order; a profile holds until the next one.
        until: Steps that can be seen.
    """

    function: str
    source: Source | None
    phase: Phase
    profiles: tuple[tuple[int, Profile], ...]
    until: int

    def holds(self, condition: Callable[[Profile], bool], *, calls: int) -> Held | None:
        """When a condition on the profile has held for a number of calls, and until when it holds."""
        since: int | None = None
        held: Held | None = None
        ends = [*(step for step, _ in self.profiles[1:]), self.until]
        for (step, profile), end in zip(self.profiles, ends, strict=True):
            if not condition(profile):
                if held is not None:
                    return held
                since = None
                continue
            since = step if since is None else since
            if held is not None:
                held = replace(held, last=max(held.last, step, end - 1))
            elif int(profile.get("calls", 1)) >= calls:
                held = Held(since=since, known_at=step, last=max(step, end - 1), profile=profile)
            elif end - since >= calls:
                known_at = max(step, since + calls - 1)
                held = Held(since=since, known_at=known_at, last=max(known_at, end - 1), profile=profile)
        return held

    def evidence(self, window: Window, held: Held, *, threshold: float | None = None) -> Evidence:
        """The profile as evidence, with the loss of these calls where it is recorded."""
        at = (self.source.file, self.source.line) if self.source else None
        tracks = window.read("call.value", phase=self.phase if self.phase is Phase.EVAL else None)
        rows = next((track.before(held.last + 1) for track in tracks if track.where.source == at), None)
        return Evidence(
            series="call.value" if rows else "",
            place="loss",
            training=window.training.number,
            steps=(held.since, held.last),
            threshold=threshold if rows else None,
            mark=(held.known_at,),
            points=rows.points(0, len(rows)) if rows else (),
            label=Bilingual(f"calls of {self.function}", f"{self.function} 的调用"),
            facts=dict(held.profile),
        )


def loss_sites(window: Window, *functions: str, phase: Phase | None = None) -> tuple[Site, ...]:
    """The call sites of the named functions of `torch.nn.functional` (all if none is named), in order of
    first call.

    Args:
        phase: Only calls in this phase.
    """
    grouped: dict[tuple[str, str, int, Phase], list[tuple[int, Profile]]] = {}
    for event in window.events("loss_call"):
        function = str(event.fields.get("function", ""))
        of = _phase(event.fields.get("phase"), event.phase)
        if (functions and function not in functions) or (phase is not None and of is not phase):
            continue
        key = function, str(event.fields.get("file") or ""), int(event.fields.get("line") or 0), of
        grouped.setdefault(key, []).append((max(event.step, 0), event.fields))
    return tuple(
        Site(
            function=function,
            source=Source(file=file, line=line) if file and line else None,
            phase=of,
            profiles=tuple(profiles),
            until=window.steps,
        )
        for (function, file, line, of), profiles in grouped.items()
    )


def trained_sites(window: Window, *functions: str) -> tuple[Site, ...]:
    """Call sites of losses that something is trained on; all where there is no training."""
    if window.training.number < 0:
        return loss_sites(window, *functions)
    sites = loss_sites(window, *functions, phase=Phase.TRAIN)
    return tuple(s for s in sites if any(p.get("input_requires_grad") is not False for _, p in s.profiles))


def evaluated(window: Window, name: str = "call.value") -> tuple[Track, ...]:
    """Tracks of loss calls that nothing is trained on: made in evaluation, or on inputs without gradient."""
    free = {
        (site.source.file, site.source.line)
        for site in loss_sites(window, phase=Phase.TRAIN)
        if site.source and all(p.get("input_requires_grad") is False for _, p in site.profiles)
    }
    between = (track for track in window.read(name) if track.where.source in free)
    return (*window.read(name, phase=Phase.EVAL), *between)


def _phase(told: Any, otherwise: Phase) -> Phase:
    if isinstance(told, str) and told.upper() in Phase.__members__:
        return Phase[told.upper()]
    return Phase(int(told)) if isinstance(told, int) else otherwise
