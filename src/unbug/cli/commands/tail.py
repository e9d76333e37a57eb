"""`unbug tail RUN`: follow a run while it goes on."""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from unbug.cli.opened import opened
from unbug.cli.options import add_directory, add_json, add_run, find
from unbug.cli.picture import reduced, sparkline
from unbug.cli.style import can_show, clip, paint, terminal_width, visible_width, wants_color
from unbug.cli.words import duration, number
from unbug.errors import UsageError

if TYPE_CHECKING:
    from unbug.cli.follow import Sight

__all__ = ["arguments", "finding_line", "run", "status_line"]

_EPILOG = """\
Findings appear as they are stated, above a line that says how the training stands. It ends when the
run ends; Ctrl-C ends it at once and leaves the run alone.

  unbug tail @last
  unbug tail @last --json | jq .
"""
_STYLE = {"error": "bold red", "warning": "yellow", "note": "dim"}
_MARK = {"error": ("✖", "x"), "warning": ("▲", "!"), "note": ("·", "-")}
_COLUMNS, _PLAIN_S = 24, 10.0
_IDLE_S = 30.0


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = _EPILOG
    add_run(parser)
    parser.add_argument(
        "--interval", metavar="SECONDS", type=float, default=1.0, help="look this often (default: 1)"
    )
    add_json(parser)
    add_directory(parser)


def run(options: argparse.Namespace) -> int:
    """Look until the run has ended."""
    if not 0.05 <= options.interval <= 3600:
        raise UsageError(f"`--interval` takes 0.05 to 3600 seconds, not {options.interval:g}")
    path = find(options)
    from unbug.cli.follow import Follower

    screen = _Json() if options.json else _Screen() if sys.stdout.isatty() else _Plain()
    with opened(path) as reader:
        try:
            follower = Follower(reader)
            screen.begin(reader.run.name)
            while not (sight := follower.look()).ended:
                screen.show(sight)
                time.sleep(options.interval)
            screen.show(sight)
            screen.end(sight)
        except KeyboardInterrupt:
            screen.leave()
            return 130
    return 0


def status_line(sight: Sight, *, width: int, color: bool, ascii_only: bool) -> str:
    """Step, loss with its picture, time of a step, time since the last row: as much as the width holds."""
    if sight.training < 0:
        return clip(f"no step yet, {duration(sight.elapsed_s)}", width)
    parts = [("step", f"{sight.step:,}", "bold")]
    if sight.training:
        parts.insert(0, ("training", str(sight.training), "bold"))
    if sight.losses:
        last = sight.losses[-1]
        parts.append(("loss", number(last), "bold" if math.isfinite(last) else "bold red"))
        picture = sparkline(reduced(sight.losses, _COLUMNS), ascii_only=ascii_only)
        parts.append(("", picture, "cyan"))
    if sight.step_time_s is not None:
        parts.append(("", f"{sight.step_time_s * 1000:.3g} ms a step", ""))
    if sight.idle_s is not None and not sight.ended:
        late = sight.idle_s > max(_IDLE_S, 20 * (sight.step_time_s or 0.0))
        parts.append(("last row", f"{duration(sight.idle_s)} ago", "bold yellow" if late else "dim"))
    parts.append(("", f"for {duration(sight.elapsed_s)}", "dim"))
    shown: list[str] = []
    used = 0
    for name, text, style in parts:
        plain = f"{name} {text}" if name else text
        if used + visible_width(plain) + 2 * bool(shown) > width:
            break
        used += visible_width(plain) + 2 * bool(shown)
        head = paint(name, "dim", color=color) + " " if name else ""
        shown.append(head + paint(text, style, color=color))
    return "  ".join(shown)


def finding_line(fields: Mapping[str, Any], *, width: int, color: bool, ascii_only: bool) -> str:
    """A finding in one line."""
    severity = str(fields.get("severity", "note"))
    mark = _MARK.get(severity, _MARK["note"])[ascii_only]
    place = f" at {fields['place']}" if fields.get("place") else ""
    text = f"{fields.get('rule', '')} {fields.get('name', '')}{place}: {fields.get('message', '')}"
    return f"{paint(mark, _STYLE.get(severity, ''), color=color)} {clip(text, width - 2)}"


def _end_line(sight: Sight) -> str:
    code = f", exit code {sight.exit_code}" if sight.exit_code else ""
    why = f": {sight.message}" if sight.message else ""
    return f"{sight.state.value}{code} after {duration(sight.elapsed_s)}{why}"


class _Screen:
    """A terminal: findings scroll, the last line is drawn anew."""

    def __init__(self) -> None:
        self._color, self._ascii = wants_color(), not can_show(sys.stdout)
        self._drawn = False

    def begin(self, name: str) -> None:
        print(f"following {paint(clip(name, terminal_width() - 10), 'bold', color=self._color)}")

    def show(self, sight: Sight) -> None:
        width = terminal_width()
        self._wipe()
        for fields in sight.findings:
            print(finding_line(fields, width=width, color=self._color, ascii_only=self._ascii))
        line = status_line(sight, width=width - 1, color=self._color, ascii_only=self._ascii)
        print(line, end="", flush=True)
        self._drawn = True

    def end(self, sight: Sight) -> None:
        print(f"\n{clip(_end_line(sight), terminal_width())}")

    def leave(self) -> None:
        print()

    def _wipe(self) -> None:
        if self._drawn:
            print("\r\x1b[K", end="")


class _Plain:
    """A file or a pipe: findings at once, how it stands every ten seconds."""

    def __init__(self) -> None:
        self._said_at = -math.inf

    def begin(self, name: str) -> None:
        print(f"following {clip(name, 1000)}", flush=True)

    def show(self, sight: Sight) -> None:
        for fields in sight.findings:
            print(finding_line(fields, width=10_000, color=False, ascii_only=False))
        if sight.ended or time.monotonic() - self._said_at >= _PLAIN_S:
            self._said_at = time.monotonic()
            print(status_line(sight, width=10_000, color=False, ascii_only=False))
        sys.stdout.flush()

    def end(self, sight: Sight) -> None:
        print(clip(_end_line(sight), 10_000), flush=True)

    def leave(self) -> None:
        sys.stdout.flush()


class _Json:
    """One object a line: `finding`, `status` where it changed, `end`."""

    def __init__(self) -> None:
        self._last: tuple[int, int] | None = None

    def begin(self, name: str) -> None:
        self._say("run", {"name": name})

    def show(self, sight: Sight) -> None:
        for fields in sight.findings:
            self._say("finding", fields)
        if (sight.training, sight.step) != self._last:
            self._last = sight.training, sight.step
            last = sight.losses[-1] if sight.losses else None
            self._say(
                "status",
                {
                    "attempt": sight.attempt,
                    "training": sight.training,
                    "step": sight.step,
                    "loss": str(last) if last is not None and not math.isfinite(last) else last,
                    "step_time_s": sight.step_time_s,
                    "idle_s": sight.idle_s,
                    "elapsed_s": sight.elapsed_s,
                },
            )

    def end(self, sight: Sight) -> None:
        fields = {"state": sight.state.value, "exit_code": sight.exit_code, "message": sight.message}
        self._say("end", fields)

    def leave(self) -> None:
        sys.stdout.flush()

    @staticmethod
    def _say(kind: str, fields: Mapping[str, Any]) -> None:
        print(json.dumps({"kind": kind, **fields}), flush=True)
