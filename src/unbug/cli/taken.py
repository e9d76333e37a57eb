"""What a program logged, set and saved by other libraries, for `unbug show`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from unbug.cli.words import count

if TYPE_CHECKING:
    from unbug.store import Reader

__all__ = ["taken", "taken_lines"]

_ORIGINS = ("tensorboard", "wandb", "mlflow", "trackio", "lightning", "transformers", "accelerate")
_MOST_NAMES, _MOST_SETTINGS = 12, 6


def taken(reader: Reader) -> dict[str, Any]:
    """Names of series by origin; the last hyperparameters of each origin; checkpoints, the last sound one."""
    settings: dict[tuple[str, str], dict[str, Any]] = {}
    for event in reader.events("hyperparameters"):
        values = event.fields.get("values")
        if isinstance(values, dict):
            settings[str(event.fields.get("origin")), str(event.fields.get("name") or "")] = dict(
                event.fields
            )
    saved = [
        {**event.fields, "training": event.training, "step": event.step}
        for event in reader.events("checkpoint")
        if event.fields.get("action") == "saved" and not event.fields.get("error")
    ]
    return {
        "logged": {origin: names for origin in _ORIGINS if (names := sorted(reader.names(origin=origin)))},
        "hyperparameters": list(settings.values()),
        "checkpoints": {
            "saved": len(saved),
            "last": saved[-1] if saved else None,
            "last_healthy": next((one for one in reversed(saved) if one.get("healthy")), None),
        },
    }


def taken_lines(seen: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Labels and texts; further lines of a label have none."""
    label = "logged"
    for origin, names in seen["logged"].items():
        more = f", … {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
        yield label, f"{origin}: {', '.join(names[:_MOST_NAMES])}{more}"
        label = ""
    label = "set to"
    for fields in seen["hyperparameters"][:_MOST_SETTINGS]:
        yield label, _settings(fields)
        label = ""
    saved = seen["checkpoints"]
    if saved["saved"]:
        yield from _checkpoints(saved)


def _settings(fields: dict[str, Any]) -> str:
    """What is not the default first, since it is what tells this run from others."""
    values: dict[str, Any] = fields["values"]
    changed = fields.get("changed")
    names = [name for name in values if name in changed] if isinstance(changed, list) else list(values)
    told = ", ".join(f"{name} {_said(values[name])}" for name in names[:40])
    rest = len(values) - len(names)
    usual = (f"{rest} more as by default" if told else "all as by default") if rest else ""
    whole = "; ".join(part for part in (told, usual) if part)
    origin, name = str(fields.get("origin")), str(fields.get("name") or "")
    return f"{origin}{f' {name}' if name else ''}: {whole}"


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _checkpoints(saved: dict[str, Any]) -> Iterator[tuple[str, str]]:
    last, healthy = saved["last"], saved["last_healthy"]
    many = count(saved["saved"], "checkpoint")
    if last.get("healthy") is not False:
        yield "saved", f"{many}, the last at {_where(last)}"
        return
    yield "saved", f"{many}, NaN or infinity in the last at {_where(last)}"
    yield "", f"the last sound one at {_where(healthy)}" if healthy else "none of them is sound"


def _where(fields: dict[str, Any]) -> str:
    step = f"step {fields['step']}" if fields["step"] >= 0 else "the start"
    return f"{step}: {fields.get('path')}"
