"""Curves as SVG: pure functions from numbers to text. Colours come from the page's style sheet."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape

from unbug.report.columns import columns
from unbug.report.language import Language, say
from unbug.report.scale import Scale, fit, wants_log
from unbug.report.words import clean, number
from unbug.types import Bilingual

__all__ = ["Chart", "Line", "chart", "spark"]

LEFT, RIGHT, TOP, BOTTOM = 58.0, 14.0, 14.0, 36.0
SIZE = (470, 220)
_BAD = Bilingual("NaN or infinite", "NaN 或无穷")
_LIMIT, _STEP = Bilingual("limit", "界限"), Bilingual("step", "步")
_DOTS = 40
"""Lines with at most so many points show each of them."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One curve. Non-finite values are drawn as crosses on the upper edge.

    Args:
        low, high: A band around the values, e.g. least and greatest of each bucket; empty for none.
    """

    steps: Sequence[float]
    values: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    label: str = ""


@dataclass(frozen=True, kw_only=True)
class Chart:
    """What a picture shows.

    Args:
        threshold: A value to draw across, or None; `above` tells which side of it is bad.
        marks: Steps to mark with a line.
        shade: First and last step of the part that decides, or None.
    """

    lines: Sequence[Line]
    title: str = ""
    unit: str = ""
    threshold: float | None = None
    above: bool | None = None
    marks: Sequence[int] = ()
    shade: tuple[int, int] | None = None
    size: tuple[int, int] = field(default=SIZE)


def chart(picture: Chart, language: Language = "en") -> str:
    """The picture as an `<svg>` element with axes, in the colours of the page."""
    width, height = picture.size
    right, bottom = width - RIGHT, height - BOTTOM
    steps = [step for line in picture.lines for step in line.steps]
    x = fit([*steps, *picture.marks], start=LEFT, end=right, pad=0.01)
    y, beyond = _vertical(picture, bottom)
    parts = [_grid(x, y, right, bottom)]
    if picture.shade is not None:
        first, last = x.at(picture.shade[0]), x.at(picture.shade[1])
        parts.append(
            f'<rect class="shade" x="{first - 1:.1f}" y="{TOP:g}" width="{last - first + 2:.1f}" '
            f'height="{bottom - TOP:g}"/>'
        )
    inside = len(picture.lines) > 1  # the legend stands above
    for index, line in enumerate(picture.lines):
        parts += _line(line, index, x, y, say(_BAD, language))
    parts += [_mark(step, x, bottom, right, inside, language) for step in picture.marks[:6]]
    if picture.threshold is not None and math.isfinite(picture.threshold):
        parts.append(_threshold(picture.threshold, y, right, beyond, say(_LIMIT, language)))
    parts.append(_legend(picture.lines, right, language))
    told = clean(say(picture.title, language)) or "curve"
    label = f'<text class="axis" x="{right:g}" y="{height - 4:g}" text-anchor="end">' + (
        f"{say(_STEP, language)}</text>"
    )
    unit = f'<text class="axis" x="4" y="{height - 4:g}">{_text(picture.unit)}</text>' if picture.unit else ""
    return (
        f'<svg class="chart" viewBox="0 0 {width} {height}" role="img" aria-label="{_text(told)}">'
        f"<title>{_text(told)}</title>{''.join(parts)}{label}{unit}</svg>"
    )


def spark(values: Sequence[float], *, size: tuple[int, int] = (96, 22)) -> str:
    """A small curve without axes for a cell of a table; empty with fewer than two finite values."""
    seen = [(index, value) for index, value in enumerate(values) if math.isfinite(value)]
    if len(seen) < 2:
        return ""
    width, height = size
    y = fit([v for _, v in seen], start=height - 2, end=2, log=wants_log(v for _, v in seen))
    x = fit([0.0, len(values) - 1.0], start=1, end=width - 1, pad=0)
    path = _path([(x.at(index), y.at(value)) for index, value in seen])
    return (
        f'<svg class="spark" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'aria-hidden="true"><path class="l0" d="{path}"/></svg>'
    )


def _vertical(picture: Chart, bottom: float) -> tuple[Scale, bool]:
    """The value axis, and whether the threshold lies too far off to be shown at its place."""
    values = [v for line in picture.lines for part in (line.values, line.low, line.high) for v in part]
    seen = [value for value in values if math.isfinite(value)]
    limit = picture.threshold
    log = wants_log(seen)
    if limit is None or not math.isfinite(limit) or not seen:
        return fit(seen, start=bottom, end=TOP, log=log), False
    low, high = min(seen), max(seen)
    if low > 0 and limit > 0 and wants_log([*seen, limit]):
        return fit([*seen, limit], start=bottom, end=TOP, log=True), False
    reach = (high - low) or abs(high) or 1.0
    if log or limit > high + 4 * reach or limit < low - 4 * reach:
        return fit(seen, start=bottom, end=TOP, log=log), True
    return fit([*seen, limit], start=bottom, end=TOP), False


def _grid(x: Scale, y: Scale, right: float, bottom: float) -> str:
    parts = []
    for value in y.ticks():
        at = y.at(value)
        parts.append(f'<line class="grid" x1="{LEFT:g}" x2="{right:g}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(
            f'<text class="tick" x="{LEFT - 6:g}" y="{at + 4:.1f}" text-anchor="end">{number(value)}</text>'
        )
    for value in x.ticks(6):
        if value >= 0 and float(value).is_integer():
            at = x.at(value)
            parts.append(
                f'<line class="tickmark" x1="{at:.1f}" x2="{at:.1f}" y1="{bottom:g}" y2="{bottom + 4:g}"/>'
            )
            parts.append(
                f'<text class="tick" x="{at:.1f}" y="{bottom + 17:g}" text-anchor="middle">'
                f"{value:,.0f}</text>"
            )
    parts.append(f'<line class="base" x1="{LEFT:g}" x2="{right:g}" y1="{bottom:g}" y2="{bottom:g}"/>')
    return "".join(parts)


def _line(line: Line, index: int, x: Scale, y: Scale, bad_named: str) -> Iterator[str]:
    style = f"l{index % 4}"
    if line.low and line.high:
        upper = [(x.at(s), y.at(v)) for s, v in zip(line.steps, line.high, strict=True) if math.isfinite(v)]
        lower = [(x.at(s), y.at(v)) for s, v in zip(line.steps, line.low, strict=True) if math.isfinite(v)]
        if len(upper) > 1:
            yield f'<path class="band {style}" d="{_path(upper + lower[::-1])}Z"/>'
    for run in _runs(line):
        points = [(x.at(step), y.at(value)) for step, value in run]
        if len(points) > 1:
            yield f'<path class="{style}" d="{_path(points)}"/>'
        if len(points) == 1 or len(line.steps) <= _DOTS:
            yield "".join(
                f'<circle class="{style}" cx="{px:.1f}" cy="{py:.1f}" r="2.2"/>' for px, py in points
            )
    bad = [step for step, value in zip(line.steps, line.values, strict=True) if not math.isfinite(value)]
    if bad:
        chosen = bad if len(bad) <= 60 else [bad[round(i * (len(bad) - 1) / 59)] for i in range(60)]
        crosses = "".join(f"M{x.at(s) - 3:.1f} {TOP + 1:g}l6 6m0-6l-6 6" for s in chosen)
        yield f'<path class="nonfinite" d="{crosses}"><title>{bad_named}</title></path>'
        at = x.at(chosen[0])
        anchor = "end" if at > (x.start + x.end) / 2 else "start"
        move = -8 if anchor == "end" else 8
        yield (
            f'<text class="badlabel" x="{at + move:.1f}" y="{TOP + 20:g}" text-anchor="{anchor}">'
            f"{bad_named}</text>"
        )


def _runs(line: Line) -> Iterator[list[tuple[float, float]]]:
    """The stretches of finite values; a curve is not drawn across what is missing."""
    run: list[tuple[float, float]] = []
    for step, value in zip(line.steps, line.values, strict=True):
        if math.isfinite(value):
            run.append((step, value))
        elif run:
            yield run
            run = []
    if run:
        yield run


def _mark(step: int, x: Scale, bottom: float, right: float, inside: bool, language: Language) -> str:
    at = x.at(step)
    anchor, move = ("end", -4) if at > right - 70 else ("start", 4)
    height = TOP + 10 if inside else TOP - 3
    return (
        f'<line class="mark" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP:g}" y2="{bottom:g}"/>'
        f'<text class="marklabel" x="{at + move:.1f}" y="{height:g}" text-anchor="{anchor}">'
        f"{say(Bilingual(f'step {step:,}', f'第 {step:,} 步'), language)}</text>"
    )


def _threshold(value: float, y: Scale, right: float, beyond: bool, named: str) -> str:
    at = y.at(value)
    over = at < TOP + 14
    told = f"{named} {number(value)}" + ((" ↑" if value > y.high else " ↓") if beyond else "")
    line = "" if beyond else f'<line class="limit" x1="{LEFT:g}" x2="{right:g}" y1="{at:.1f}" y2="{at:.1f}"/>'
    return (
        f'{line}<text class="limitlabel" x="{right - 2:g}" y="{at + (14 if over else -5):.1f}" '
        f'text-anchor="end">{told}</text>'
    )


def _legend(lines: Sequence[Line], right: float, language: Language) -> str:
    named = [(index, say(line.label, language)) for index, line in enumerate(lines) if line.label]
    if len(lines) < 2:
        return ""
    parts, at = [], LEFT + 4
    for index, label in named[:4]:
        text = clean(label) if len(label) <= 28 else clean(label)[:27] + "…"
        parts.append(f'<path class="l{index % 4}" d="M{at:.0f} 6h18"/>')
        parts.append(f'<text class="axis" x="{at + 22:.0f}" y="10">{_text(text)}</text>')
        at += 36 + 6.2 * columns(text)
    return "".join(parts)


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _text(text: str) -> str:
    return escape(clean(text), quote=True)
