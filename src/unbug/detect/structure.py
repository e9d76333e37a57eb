"""What events tell of the loop and of the parameters, in the form that rules ask for."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unbug.types import Bilingual, Evidence, Phase

if TYPE_CHECKING:
    from unbug.detect.window import Window

__all__ = [
    "Mode",
    "SeenAgain",
    "common_place",
    "covering_place",
    "facts_evidence",
    "last_checkpoint",
    "modes",
    "named",
    "orders",
    "parameter_looks",
    "seen_again",
]


@dataclass(frozen=True, kw_only=True)
class Mode:
    """A model's first forward pass in a combination of train or eval mode and grad mode.

    Args:
        module: Class of the model.
        dependent: Layers that behave differently in the two modes.
        training, evaluating: Paths of those that are in training and in evaluation mode.
        all_train, all_eval: Whether all of them are.
        fields: Of the event.
    """

    step: int
    phase: Phase
    module: str
    grad: bool
    dependent: int
    training: tuple[str, ...]
    evaluating: tuple[str, ...]
    all_train: bool
    all_eval: bool
    fields: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class SeenAgain:
    """What was the same in several looks in a row.

    Args:
        since, step: First and last of these looks.
        items: What all of them showed, as the last one had it.
        fields: Of the last look.
    """

    since: int
    step: int
    items: tuple[Any, ...]
    fields: Mapping[str, Any]


def orders(window: Window) -> tuple[tuple[int, str], ...]:
    """`(step, word)` of each order of calls, at the step where it was first seen."""
    first: dict[str, int] = {}
    for event in window.events("loop_order"):
        word = str(event.fields.get("order", ""))
        first.setdefault(word, max(event.step, 0) if "count" not in event.fields else _first(event.fields))
    return tuple((step, word) for word, step in sorted(first.items(), key=lambda pair: pair[1]))


def parameter_looks(window: Window) -> tuple[tuple[int, Mapping[str, Any]], ...]:
    """`(step, fields)` of each look at which parameters the optimizer owns."""
    return tuple((max(event.step, 0), event.fields) for event in window.events("parameters"))


def seen_again(
    window: Window,
    items: Callable[[Mapping[str, Any]], Iterable[Any] | None],
    *,
    looks: int,
    key: Callable[[Any], Hashable] = lambda item: item,
) -> Iterator[SeenAgain]:
    """What `looks` consecutive looks at the parameters showed all of, at each look from which it is so.

    Args:
        items: What one look shows; None where it was not looked for.
        key: By which an item is known again.
    """
    kept: list[Any] = []
    since = count = 0
    for step, fields in parameter_looks(window):
        shown = items(fields)
        if shown is None:
            continue
        now = list(shown)
        before = {key(item) for item in kept}
        kept = [item for item in now if key(item) in before]
        if kept:
            count += 1
        else:
            kept, since, count = now, step, 1 if now else 0
        if count >= looks:
            yield SeenAgain(since=since, step=step, items=tuple(kept), fields=fields)


def modes(window: Window) -> tuple[Mode, ...]:
    """The `mode` events, in order."""
    return tuple(_mode(event.step, event.phase, event.fields) for event in window.events("mode"))


def _mode(step: int, phase: Phase, fields: Mapping[str, Any]) -> Mode:
    dependent = int(fields.get("mode_dependent") or 0)
    training = tuple(fields.get("in_train_mode") or ())
    evaluating = tuple(fields.get("in_eval_mode") or ())
    in_train = int(fields.get("in_train_mode_count") or len(training))
    in_eval = int(fields.get("in_eval_mode_count") or len(evaluating))
    return Mode(
        step=max(step, 0),
        phase=phase,
        module=str(fields.get("module") or ""),
        grad=bool(fields.get("grad")),
        dependent=dependent,
        training=training,
        evaluating=evaluating,
        all_train=0 < dependent <= in_train,
        all_eval=0 < dependent <= in_eval,
        fields=fields,
    )


def last_checkpoint(window: Window, before: int) -> Bilingual:
    """Words to put behind an advice: which checkpoint was the last healthy one; empty if none is known.

    Args:
        before: The step that is bad: what was saved after it was made is no good.
    """
    saved = [
        event
        for event in window.events("checkpoint")
        if event.fields.get("action") == "saved"
        and event.fields.get("path")
        and event.fields.get("healthy") is not False
        and not event.fields.get("error")
        and event.step < before
    ]
    if not saved:
        return Bilingual()
    path, step = str(saved[-1].fields["path"]), saved[-1].step
    if step < 0:
        return Bilingual(
            f"; the last healthy checkpoint: {path}, of before the first step",
            f"；最近一个健康的检查点：{path}（第一步之前保存）",
        )
    return Bilingual(
        f"; the last healthy checkpoint: {path} at step {step}",
        f"；最近一个健康的检查点：{path}（第 {step} 步）",
    )


def common_place(paths: Sequence[str]) -> str:
    """The deepest module that holds all the paths; the first path itself where there is none."""
    split = [path.split(".") for path in paths]
    shared: list[str] = []
    for parts in zip(*split, strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return ".".join(shared) or paths[0]


def covering_place(window: Window, paths: Sequence[str]) -> str:
    """The outermost module all of whose parameters are among the paths; `common_place` where that is none."""
    place, among = common_place(paths), set(paths)
    parameters = [one.path for one in window.places if one.kind == "parameter"]
    while "." in place:
        outer = place.rpartition(".")[0]
        inside = [path for path in parameters if path.startswith(f"{outer}.")]
        if not inside or not among.issuperset(inside):
            break
        place = outer
    return place


def named(paths: Iterable[str], *, most: int = 3) -> Bilingual:
    """A few paths by name, the rest by number."""
    every = list(paths)
    shown, more = ", ".join(every[:most]), len(every) - most
    if more <= 0:
        return Bilingual(shown)
    return Bilingual(f"{shown} and {more} more", f"{shown} 等，另有 {more} 个")


def facts_evidence(window: Window, place: str, steps: tuple[int, int], label: str, **facts: Any) -> Evidence:
    """Evidence that no series shows."""
    return Evidence(place=place, training=window.training.number, steps=steps, label=label, facts=facts)


def _first(fields: Mapping[str, Any]) -> int:
    return int(fields.get("first_step", 0) or 0)
