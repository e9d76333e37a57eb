"""`unbug show RUN`: one run at a glance."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from unbug.cli.opened import opened
from unbug.cli.options import add_directory, add_json, add_run, find
from unbug.cli.picture import sparkline
from unbug.cli.ranges import range_lines
from unbug.cli.style import clip, paint, terminal_width, wants_color
from unbug.cli.taken import taken_lines
from unbug.cli.words import ago, count, duration, number, size

__all__ = ["arguments", "run"]

_STATE_STYLE = {"running": "cyan", "finished": "green", "failed": "bold red", "killed": "bold red"}
_SEVERITY_STYLE = {"error": "bold red", "warning": "yellow", "note": "dim"}
_MOST = 8
_MOST_EVALUATIONS = 6


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_run(parser)
    add_json(parser)
    add_directory(parser)


def run(options: argparse.Namespace) -> int:
    """Print the overview."""
    path = find(options)
    from unbug.cli.overview import overview

    with opened(path) as reader:
        seen = overview(reader)
    if options.json:
        print(json.dumps(seen, indent=1))
    else:
        color, width = wants_color(), terminal_width()
        print("\n".join(_lines(seen, width=width, color=color)))
    return 0


def _lines(seen: dict[str, Any], *, width: int, color: bool) -> Iterator[str]:
    state = paint(_state(seen), _STATE_STYLE.get(seen["state"], "yellow"), color=color)
    yield f"{paint(clip(seen['name'], width), 'bold', color=color)}  {state}"
    labels = [(name, text) for name, text in _facts(seen) if text]
    left = max(len(name) for name, _ in labels)
    for name, text in labels:
        yield f"  {paint(name.ljust(left), 'dim', color=color)}  {clip(text, width - left - 4)}"
    for training in seen["trainings"][:_MOST]:
        yield ""
        yield from _training(training, width=width, color=color)
    if len(seen["trainings"]) > _MOST:
        yield f"  … and {count(len(seen['trainings']) - _MOST, 'training')} more"
    yield ""
    yield from _findings(seen, width=width, color=color)
    for line in seen["lost"]:
        yield paint(clip(f"lost: {line}", width), "yellow", color=color)
    if seen["crash"]:
        last = str(seen["crash"].get("traceback", "")).strip().rpartition("\n")[2]
        yield paint(clip(f"ended by {last}", width), "red", color=color)


def _state(seen: dict[str, Any]) -> str:
    code = seen["exit_code"]
    return f"{seen['state']}, exit code {code}" if code else str(seen["state"])


def _facts(seen: dict[str, Any]) -> Iterator[tuple[str, str]]:
    facts = seen["facts"]
    git, packages, hardware = (_mapping(facts.get(name)) for name in ("git", "packages", "hardware"))
    started = ago((time.time_ns() - seen["created_ns"]) / 1e9)
    command = seen["command"]
    yield "command", " ".join(map(str, command)) if isinstance(command, list) else str(command or "")
    yield "started", f"{started}, took {duration(seen['duration_s'])}"
    if len(seen["attempts"]) > 1:
        yield "attempts", f"{len(seen['attempts'])}: {', '.join(map(_attempt, seen['attempts']))}"
    if git.get("commit"):
        dirty = ", uncommitted changes" if git.get("dirty") else ""
        yield "git", f"{str(git['commit'])[:12]} ({git.get('branch') or 'no branch'}{dirty})"
    torch = packages.get("torch")
    yield (
        "software",
        ", ".join(part for part in (f"torch {torch}" if torch else "", str(facts.get("python", ""))) if part),
    )
    yield "hardware", ", ".join(str(hardware[key]) for key in ("cpu", "gpu") if hardware.get(key))
    yield "tags", ", ".join(seen["tags"])
    yield "your series", ", ".join(seen["user_series"])
    yield from taken_lines(seen)
    yield (
        "media",
        ", ".join(f"{name} ({count(one['count'], one['kind'])})" for name, one in seen["media"].items()),
    )
    yield "run", f"{seen['path']}  ({size(seen['size_bytes'])})"
    yield "id", seen["id"]


def _attempt(one: dict[str, Any]) -> str:
    took = f" after {duration((one['ended_ns'] - one['started_ns']) / 1e9)}" if one["ended_ns"] else ""
    return f"{one['state']}{took}"


def _mapping(value: Any) -> dict[str, Any]:
    """Facts are what a file says; it need not have been written by unbug."""
    return value if isinstance(value, dict) else {}


def _training(training: dict[str, Any], *, width: int, color: bool) -> Iterator[str]:
    head = f"training {training['number']}"
    told = [count(training["steps"], "step")]
    if training["optimizers"]:
        told.append(" + ".join(training["optimizers"]))
    if training["parameters"]:
        told.append(count(training["parameters"], "parameter"))
    if training["step_time_s"]:
        told.append(f"{training['step_time_s'] * 1000:.3g} ms a step")
    yield clip(f"{head}  {', '.join(told)}", width)
    if training["last_loss"] is not None:
        numbers = f"{number(training['first_loss'])} → {number(training['last_loss'])}"
        line = f"  loss  {numbers}, lowest {number(training['lowest_loss'])}"
        picture = sparkline(training["losses"])
        if len(line) + len(picture) + 2 <= width:
            line += "  " + paint(picture, "cyan", color=color)
        yield line
    for one in training["evaluations"][:_MOST_EVALUATIONS]:
        name = {"value": "loss"}.get(one["name"], one["name"])
        where = f"{Path(one['file']).name}:{one['line']}" if one["file"] else one["function"]
        line = f"  evaluation {name}  {number(one['first'])} → {number(one['last'])}  ({where})"
        picture = sparkline(one["values"])
        if one["calls"] > 2 and len(line) + len(picture) + 2 <= width:
            line += "  " + paint(picture, "cyan", color=color)
        yield line
    for line in range_lines(training["ranges"]):
        yield clip(f"  {line}", width)


def _findings(seen: dict[str, Any], *, width: int, color: bool) -> Iterator[str]:
    total = sum(seen["findings"].values())
    if not total:
        yield "no findings" + (" so far" if seen["live"] else "")
        return
    by_severity = [
        f"{many} {severity}{'' if many == 1 else 's'}" for severity, many in seen["findings"].items() if many
    ]
    yield clip(f"findings  {', '.join(by_severity)}", width)
    for finding in seen["stated"][:_MOST]:
        severity = str(finding.get("severity", "note"))
        head = f"{finding.get('rule', '')} {finding.get('name', '')}"
        place = f" at {finding['place']}" if finding.get("place") else ""
        mark = paint(severity.ljust(7), _SEVERITY_STYLE.get(severity, ""), color=color)
        yield f"  {mark}  {clip(f'{head}{place}: ' + str(finding.get('message', '')), width - 11)}"
    yield clip(f"  `unbug diagnose {seen['path'].rpartition('/')[2]}` says what to do", width)
