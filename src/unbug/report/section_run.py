"""What the page says of the run beside its findings: curves, layers, coverage, environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from unbug.report.drawing import chart, spark
from unbug.report.markup import Markup, pairs, said, table, tag
from unbug.report.pictures import training_charts
from unbug.report.words import number

if TYPE_CHECKING:
    from unbug.detect import Diagnosis, Window
    from unbug.store.contract import Reader

__all__ = ["coverage_section", "curves_section", "environment_section", "layers_section"]

MOST_ROWS = 200


def curves_section(reader: Reader, window: Window, *, many: bool) -> Markup | None:
    """Loss, learning rate, gradient norm and step time of one training."""
    charts = training_charts(reader, window)
    if not charts:
        return None
    figures = [tag("figure", tag("figcaption", one.title), Markup(chart(one))) for one in charts]
    return tag("section", tag("h2", _title("Curves", window, many)), tag("div", *figures, class_="curves"))


def layers_section(window: Window, diagnosis: Diagnosis, *, many: bool) -> Markup | None:
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
        head = (
            "parameter",
            "shape",
            "weight norm",
            "gradient norm",
            "update / weight",
            "zero gradients",
            "gradient norm over steps",
        )
        parts += [tag("h3", "Parameters"), _table(head, parameters, found)]
    if modules:
        head = ("module", "class", "mean", "spread", "zeros", "saturated", "spread over steps")
        parts += [tag("h3", "Outputs of modules"), _table(head, modules, found)]
    if not parts:
        return None
    note = tag(
        "p",
        "Medians over the recorded steps, in network order; a bar at the left marks a finding.",
        class_="more",
    )
    return tag("section", tag("h2", _title("Layers", window, many)), note, *parts)


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


def _table(head: tuple[str, ...], rows: list[tuple[str, list[object]]], found: Mapping[str, str]) -> Markup:
    shown = rows[:MOST_ROWS]
    styles = [f"found {found[path]}" if path in found else "" for path, _ in shown]
    made = table(head, [cells for _, cells in shown], classes=styles)
    if len(rows) > MOST_ROWS:
        left = tag("p", f"The first {MOST_ROWS} of {len(rows)}; `unbug export` writes all.", class_="more")
        return Markup(made + left)
    return made


def coverage_section(reader: Reader, diagnosis: Diagnosis) -> Markup:
    """What was looked at, what that cost, what could not be seen, and what failed."""
    events = reader.events("coverage")
    recorded = dict(events[-1].fields) if events else {}
    facts: dict[str, Any] = {
        "rules asked": ", ".join(diagnosis.rules),
        "series recorded": diagnosis.series,
    }
    facts |= {key.replace("_", " "): value for key, value in _flat(recorded).items()}
    if diagnosis.status.lost:
        facts["lost"] = list(diagnosis.status.lost)
    faults = [tag("li", f"{fault.rule or 'plug-in'}: {fault.error}") for fault in diagnosis.faults]
    return tag(
        "section",
        tag("h2", "What was looked at"),
        pairs(facts),
        tag("h3", "Failed inside unbug") if faults else None,
        tag("ul", *faults) if faults else None,
    )


def environment_section(reader: Reader, diagnosis: Diagnosis) -> Markup | None:
    """Command, packages, hardware and versions, as recorded."""
    facts: dict[str, Any] = dict(diagnosis.run.facts)
    for event in reader.events("environment"):
        facts |= dict(event.fields)
    facts.pop("command", None)
    long = {key: value for key, value in facts.items() if len(said(value)) > 400}
    short = {key: value for key, value in facts.items() if key not in long}
    if not facts:
        return None
    parts = [pairs({key.replace("_", " "): value for key, value in _flat(short).items()})]
    parts += [
        tag("details", tag("summary", key.replace("_", " ")), tag("p", said(value), class_="more"))
        for key, value in long.items()
    ]
    return tag("section", tag("h2", "Environment"), *parts)


def _flat(facts: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested facts as one level: `cost upper` for `{"cost": {"upper": …}}`."""
    flat: dict[str, Any] = {}
    for key, value in facts.items():
        if isinstance(value, Mapping) and value:
            flat |= _flat(value, f"{prefix}{key} ")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _title(what: str, window: Window, many: bool) -> str:
    return f"{what} of training {window.training.number}" if many else what
