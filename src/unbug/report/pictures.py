"""From recorded data to curves: what to draw for a piece of evidence, and the curves of a training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from unbug.detect.contract import evaluated
from unbug.report.drawing import Chart, Line
from unbug.types import Bilingual, Evidence, Phase

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from unbug.detect import Window
    from unbug.detect.contract import Track
    from unbug.store.contract import Reader

__all__ = ["evidence_chart", "reduced", "training_charts"]

MOST_BUCKETS = 300
_EVALUATION = Bilingual("evaluation", "评估")
_CONTEXT = 4
"""A picture of evidence shows this many times its span around it; the whole training if that is short."""


def evidence_chart(evidence: Evidence, window: Window | None) -> Chart | None:
    """The recorded curve around a piece of evidence; its own points where the series is no more."""
    track = _track(evidence, window)
    if track is not None:
        steps, values = track.steps, track.values
        line = reduced(*_around(evidence.steps, steps, values))
    elif evidence.points:
        line = Line(
            steps=[step for step, _ in evidence.points], values=[value for _, value in evidence.points]
        )
    else:
        return None
    sampled = f" ({track.sampled})" if track is not None and track.sampled else ""
    return Chart(
        lines=(line,),
        title=(
            evidence.label
            or Bilingual(f"{evidence.series} at {evidence.place}", f"{evidence.place} 的 {evidence.series}")
        )
        + sampled,
        unit=evidence.unit,
        threshold=evidence.threshold,
        above=evidence.above,
        marks=evidence.mark,
        shade=evidence.steps if evidence.steps[1] > evidence.steps[0] else None,
    )


def training_charts(reader: Reader, window: Window) -> list[Chart]:
    """Loss in training and evaluation, learning rate, gradient norm and step time of one training."""
    charts = []
    losses = _curves(reader, window, "loss.value", (Bilingual("training loss", "训练损失"),))
    for track in evaluated(window)[:3]:
        line = reduced(track.steps, track.values)
        losses.append(Line(steps=line.steps, values=line.values, label=_site(_EVALUATION, track)))
    if losses:
        charts.append(Chart(lines=losses, title=Bilingual("Loss", "损失")))
    scores = [
        Line(steps=line.steps, values=line.values, label=_site(what, track))
        for what, tracks in (
            (Bilingual("training", "训练"), _trained(window)),
            (_EVALUATION, evaluated(window, "call.accuracy")),
        )
        for track in tracks[:2]
        for line in (reduced(track.steps, track.values),)
    ]
    if scores:
        charts.append(Chart(lines=scores, title=Bilingual("Accuracy at the loss", "损失处的准确率")))
    for name, title, unit in (
        ("optimizer.lr", Bilingual("Learning rate", "学习率"), ""),
        ("grad.global_norm", Bilingual("Gradient norm", "梯度范数"), ""),
        ("step.time_s", Bilingual("Step time", "单步时间"), "s"),
        ("step.wait_s", Bilingual("Waiting for data", "等待数据"), "s"),
    ):
        lines = _curves(reader, window, name)
        if lines and any(math.isfinite(v) and v for line in lines for v in line.values):
            charts.append(Chart(lines=lines, title=title, unit=unit))
    return charts


def _trained(window: Window) -> list[Track]:
    others = {track.where for track in evaluated(window, "call.accuracy")}
    return [track for track in window.read("call.accuracy") if track.where not in others]


def reduced(steps: NDArray[np.int64], values: NDArray[np.float64]) -> Line:
    """A curve of at most `MOST_BUCKETS` buckets: means with the band of least and greatest; a bucket with a
    value that is not finite is drawn as that."""
    if len(steps) <= MOST_BUCKETS:
        return Line(steps=steps.tolist(), values=values.tolist())
    edges = np.linspace(0, len(steps), MOST_BUCKETS + 1).round().astype(int)
    middle, mean, low, high = [], [], [], []
    for first, last in pairwise(edges.tolist()):
        part = values[first:last]
        finite = part[np.isfinite(part)]
        whole = len(finite) == len(part)
        middle.append(float(steps[(first + last) // 2]))
        mean.append(float(finite.mean()) if whole else math.nan)
        low.append(float(finite.min()) if len(finite) else math.nan)
        high.append(float(finite.max()) if len(finite) else math.nan)
    return Line(steps=middle, values=mean, low=low, high=high)


def _curves(reader: Reader, window: Window, name: str, labels: Sequence[str] = ()) -> list[Line]:
    """Stored curves of one name, from the store's own levels, so that long runs are drawn at once."""
    lines = []
    number = window.training.number
    for index, series in enumerate(reader.find(name=name, origin="auto", training=number)[:4]):
        curve = reader.curve(series, points=MOST_BUCKETS, training=number)
        values = np.where(curve.nonfinite > 0, np.nan, curve.mean)
        label = labels[index] if index < len(labels) else series.statistic or series.place.path
        steps = ((curve.step_first + curve.step_last) / 2).tolist()
        if not len(steps):
            continue
        band = {} if curve.exact else {"low": curve.low.tolist(), "high": curve.high.tolist()}
        lines.append(Line(steps=steps, values=values.tolist(), label=label, **band))
    return lines


def _track(evidence: Evidence, window: Window | None) -> Track | None:
    """The recorded series that the evidence was taken from."""
    if window is None or not evidence.series:
        return None
    wanted = dict(evidence.points)
    for phase in (None, Phase.EVAL):
        for track in window.read(evidence.series, place=evidence.place, phase=phase):
            if track.statistic == evidence.statistic and _agrees(track, wanted):
                return track
    return None


def _agrees(track: Track, wanted: dict[int, float]) -> bool:
    """Several series may share a name and a place (two call sites): it is the one that has the points."""
    rows = dict(zip(track.steps.tolist(), track.values.tolist(), strict=True))
    return all(step in rows and (rows[step] == value or value != value) for step, value in wanted.items())


def _around(
    steps: tuple[int, int], of: NDArray[np.int64], values: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    first, last = steps
    room = _CONTEXT * max(last - first, 25)
    part = slice(*np.searchsorted(of, [first - room, last + room]).tolist())
    return of[part], values[part]


def _site(what: Bilingual, track: Track) -> Bilingual:
    if not track.where.source:
        return what
    line = track.where.source[1]
    return what + Bilingual(f", line {line}", f"，第 {line} 行")
