"""Parameters that the optimizer holds never get a gradient.

Why it matters: they never learn. Mostly a `detach`, `.data`, `.item()` or `no_grad` cuts the graph behind
    them.
How it decides: in `looks` consecutive looks the same parameters have no gradient, and none was recorded for
    them. If their module gave an output in training, it runs and the graph is cut in it or behind it: an
    error. Else the module may simply be unused: a note.
When it is wrong: heads that run but whose loss is switched off for a time.
What to do: take the `detach` or `no_grad` out of the path from these layers to the loss; or leave them out
    of the optimizer, if they shall stay as they are.
Source: PyTorch autograd notes on `detach`; the number of looks is ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from unbug.detect.contract import (
    Bilingual,
    Event,
    Finding,
    Place,
    Severity,
    Window,
    covering_place,
    detector,
    event,
    facts_evidence,
    fires,
    named,
    seen_again,
    silent,
    threshold,
)


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    looks: int = threshold(3, unit="looks", low=1, high=100, why="alternating losses reach all parts in turn")


@detector(
    "M103",
    "no-gradient",
    chinese="没有梯度",
    diagnoses=("detached-graph",),
    reads=("grad.count", "activation.count"),
    events=("parameters",),
    severity=Severity.ERROR,
    since="0.1",
    confidence=0.9,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    for again in seen_again(window, lambda look: look.get("without_gradient") or (), looks=at.looks):
        step = again.step
        seen = {track.place for track in window.head(step + 1).read("grad.count")}
        cut = [str(path) for path in again.items if path not in seen]
        if not cut:
            continue
        place = covering_place(window, cut)
        ran = {track.place for track in window.head(step + 1).read("activation.count")}
        ran |= {str(path) for path in again.fields.get("without_gradient_ran") or ()}
        runs = [path for path in cut if path.rpartition(".")[0] in ran]
        yield Finding(
            place=place,
            message=Bilingual(
                f"{len(cut)} parameters in the optimizer never get a gradient: {named(cut)}",
                f"优化器中有 {len(cut)} 个参数从未得到梯度：{named(cut).zh}",
            ),
            advice=Bilingual(
                "take detach, no_grad or .item() out of the path from there to the loss",
                "去掉从这些层到损失的路径上的 detach、no_grad 或 .item()",
            )
            if runs
            else Bilingual(
                "use these layers, take no_grad off them, or leave them out of the optimizer",
                "使用这些层，去掉其上的 no_grad，或不要把它们交给优化器",
            ),
            severity=None if runs else Severity.NOTE,
            steps=(again.since, step),
            known_at=step,
            evidence=(
                facts_evidence(
                    window,
                    place,
                    (again.since, step),
                    Bilingual("parameters without gradient", "没有梯度的参数"),
                    parameters=cut,
                    their_modules_run=bool(runs),
                ),
            ),
        )
        return


def _look(step: int, *paths: str, ran: tuple[str, ...] = ()) -> Event:
    return event("parameters", step=step, without_gradient=list(paths), without_gradient_ran=list(ran))


_THREE = (_look(0, "enc.weight"), _look(1, "enc.weight"), _look(2, "enc.weight"))
CASES = (
    fires(
        "a module that runs",
        place="enc.weight",
        severity=Severity.ERROR,
        events=_THREE,
        activation__count={"enc": [9.0] * 3},
    ),
    fires(
        "a module that runs without recording gradients",
        severity=Severity.ERROR,
        events=tuple(_look(step, "enc.weight", ran=("enc",)) for step in range(3)),
    ),
    fires(
        "all of a module: the module is named",
        place="net.enc",
        places=(
            Place(path="net.enc.0.weight", kind="parameter", order=0),
            Place(path="net.dec.weight", kind="parameter", order=1),
        ),
        events=tuple(_look(step, "net.enc.0.weight") for step in range(3)),
    ),
    fires("a module that does not run", severity=Severity.NOTE, events=_THREE),
    silent("two looks", events=_THREE[:2], activation__count={"enc": [9.0] * 3}),
    silent(
        "it has one in between",
        events=(*_THREE[:2], _look(2), _look(5, "enc.weight")),
        activation__count={"enc": [9.0] * 6},
    ),
    silent(
        "its gradient was recorded",
        events=_THREE,
        activation__count={"enc": [9.0] * 3},
        grad__count={"enc.weight": [4.0] * 3},
    ),
)
