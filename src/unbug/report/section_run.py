"""What the page draws of the run beside its findings: curves and layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from unbug.report.drawing import chart, spark
from unbug.report.language import Language, say
from unbug.report.markup import Markup, table, tag
from unbug.report.pictures import training_charts
from unbug.report.words import number
from unbug.types import Bilingual

if TYPE_CHECKING:
    from unbug.detect import Diagnosis, Window
    from unbug.store.contract import Reader

__all__ = ["curves_section", "layers_section"]

MOST_ROWS = 200
_HOW = Bilingual(
    "Medians over the recorded steps, in network order; a bar at the left marks a finding.",
    "各值为所记录各步的中位数，按网络顺序排列；左侧的竖线表示有发现。",
)
_PARAMETERS = (
    Bilingual("parameter", "参数"),
    Bilingual("shape", "形状"),
    Bilingual("weight norm", "权重范数"),
    Bilingual("gradient norm", "梯度范数"),
    Bilingual("update / weight", "更新 / 权重"),
    Bilingual("zero gradients", "零梯度"),
    Bilingual("gradient norm over steps", "梯度范数随步变化"),
)
_MODULES = (
    Bilingual("module", "模块"),
    Bilingual("class", "类"),
    Bilingual("mean", "均值"),
    Bilingual("spread", "标准差"),
    Bilingual("zeros", "零值"),
    Bilingual("saturated", "饱和"),
    Bilingual("spread over steps", "标准差随步变化"),
)


def curves_section(reader: Reader, window: Window, language: Language = "en", *, many: bool) -> Markup | None:
    """Loss, learning rate, gradient norm and step time of one training."""
    charts = training_charts(reader, window)
    if not charts:
        return None
    figures = [
        tag("figure", tag("figcaption", say(one.title, language)), Markup(chart(one, language)))
        for one in charts
    ]
    return tag(
        "section",
        tag("h2", _title(Bilingual("Curves", "曲线"), window, language, many=many)),
        tag("div", *figures, class_="curves"),
    )


def layers_section(
    window: Window, diagnosis: Diagnosis, language: Language = "en", *, many: bool
) -> Markup | None:
    """A row for each parameter and for each module whose output was looked at."""
    found = {
        place: finding.severity.value
        for finding in reversed(diagnosis.findings)
        if finding.training == window.training.number
        for place in finding.places
    }
    parameters = _rows(window, ("weight.l2", "grad.l2", "update.ratio", "grad.zero_share"), "grad.l2")
    modules = _rows(
        window,
        ("activation.mean", "activation.std", "activation.zero_share", "activation.saturated_share"),
        "activation.std",
    )
    parts: list[Markup] = []
    if parameters:
        named = say(Bilingual("Parameters", "参数"), language)
        parts += [tag("h3", named), _table(_PARAMETERS, parameters, found, language)]
    if modules:
        named = say(Bilingual("Outputs of modules", "模块的输出"), language)
        parts += [tag("h3", named), _table(_MODULES, modules, found, language)]
    if not parts:
        return None
    title = _title(Bilingual("Layers", "各层"), window, language, many=many)
    return tag("section", tag("h2", title), tag("p", say(_HOW, language), class_="more"), *parts)


def _rows(window: Window, names: tuple[str, ...], drawn: str) -> list[tuple[str, list[object]]]:
    """`(path, cells)` for each place that has any of the series."""
    tracks = {name: {track.place: track for track in window.read(name)} for name in names}
    places = {place: track.where for name in names for place, track in tracks[name].items()}
    ordered = sorted(places.values(), key=lambda place: (place.order < 0, place.order, place.path))
    rows = []
    for place in ordered:
        cells: list[object] = [tag("code", place.path or "(whole model)")]
        cells.append("×".join(map(str, place.shape)) if place.shape else place.class_name.rpartition(".")[2])
        for name in names:
            track = tracks[name].get(place.path)
            values = track.values[np.isfinite(track.values)] if track is not None else np.zeros(0)
            middle = float(np.median(values)) if len(values) else None
            share = name.endswith("_share")
            cells.append("–" if middle is None else f"{middle:.1%}" if share else number(middle))
        curve = tracks[drawn].get(place.path)
        cells.append(Markup(spark(_thin(curve.values))) if curve is not None else "")
        rows.append((place.path, cells))
    return rows


def _thin(values: np.ndarray[Any, np.dtype[np.float64]], most: int = 60) -> list[float]:
    if len(values) <= most:
        return [float(value) for value in values]
    return [float(values[round(i * (len(values) - 1) / (most - 1))]) for i in range(most)]


def _table(
    head: tuple[Bilingual, ...],
    rows: list[tuple[str, list[object]]],
    found: Mapping[str, str],
    language: Language,
) -> Markup:
    shown = rows[:MOST_ROWS]
    styles = [f"found {found[path]}" if path in found else "" for path, _ in shown]
    made = table([say(name, language) for name in head], [cells for _, cells in shown], classes=styles)
    if len(rows) > MOST_ROWS:
        told = Bilingual(
            f"The first {MOST_ROWS} of {len(rows)}; `unbug export` writes all.",
            f"共 {len(rows)} 行，此处为前 {MOST_ROWS} 行；`unbug export` 写出全部。",
        )
        return Markup(made + tag("p", say(told, language), class_="more"))
    return made


def _title(what: Bilingual, window: Window, language: Language, *, many: bool) -> str:
    number = window.training.number
    whole = Bilingual(f"{what} of training {number}", f"训练 {number} 的{what.zh}") if many else what
    return say(whole, language)
