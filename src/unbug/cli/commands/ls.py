"""`unbug ls`: the runs there are, newest first."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unbug.cli.options import add_directory, add_json, directory_of
from unbug.cli.style import clip, terminal_width, wants_color
from unbug.cli.table import Column, render_table
from unbug.cli.watch import watch
from unbug.cli.words import ago, duration, number
from unbug.errors import UsageError

if TYPE_CHECKING:
    from unbug.store import RunSummary

__all__ = ["arguments", "run"]

WATCH_S = 2.0
_MOST_UNREAD = 5
_EPILOG = """\
  unbug ls                   the runs of the nearest unbug-runs/
  unbug ls a.unbug b/        packed runs and other folders
  unbug ls --watch           stays, and shows how they go on
"""

_COLUMNS = (
    Column(title="NAME", gives_way=True, style="bold"),
    Column(title="STATE"),
    Column(title="FINDINGS"),
    Column(title="STEPS", right=True),
    Column(title="LOSS", right=True, drop=1),
    Column(title="TOOK", right=True, drop=2),
    Column(title="STARTED", right=True),
    Column(title="TAGS", drop=3),
    Column(title="ID", drop=4, style="dim"),
)
_STATE_STYLE = {
    "running": "cyan", "finished": "green", "failed": "red", "killed": "red", "lost": "yellow",
    "interrupted": "yellow",
}  # fmt: skip


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = _EPILOG
    parser.add_argument(
        "paths", metavar="PATH", nargs="*", help="folder of runs, run or packed run (default: --dir)"
    )
    parser.add_argument("--limit", metavar="N", type=int, default=0, help="only the N newest")
    parser.add_argument("--tag", metavar="TAG", help="only runs with this tag")
    parser.add_argument(
        "--watch", action="store_true", help="show it again whenever it changes, until Ctrl-C"
    )
    add_json(parser)
    add_directory(parser)


def run(options: argparse.Namespace) -> int:
    """Print the table."""
    paths = [Path(path).expanduser() for path in options.paths] or [directory_of(options)]
    for path in paths:
        if options.paths and not path.exists():
            raise UsageError(f"there is no {path}; give folders of runs, runs or packed runs")
    if options.watch:
        watch(lambda: _shown(options, paths, []), every_s=WATCH_S)
        return 0
    unread: list[str] = []
    text = _shown(options, paths, unread)
    if text:
        print(text)
    if not text and not unread:
        where = ", ".join(map(str, paths))
        print(f"no runs in {clip(where, 1000)}; record one with `unbug run SCRIPT`", file=sys.stderr)
    for line in unread[:_MOST_UNREAD]:
        print(clip(f"unbug: not listed: {line}", 1000), file=sys.stderr)
    if len(unread) > _MOST_UNREAD:
        print(f"unbug: and {len(unread) - _MOST_UNREAD} more are not listed", file=sys.stderr)
    return 0


def _shown(options: argparse.Namespace, paths: list[Path], unread: list[str]) -> str:
    """The table, or JSON; empty where there are no runs. What cannot be read is put into `unread`."""
    from unbug.store import list_runs

    found = [
        one
        for path in paths
        for one in list_runs(path, skipped=lambda _, error: unread.append(str(error)))
        if options.tag is None or options.tag in one.run.tags
    ]
    found.sort(key=lambda one: (one.run.created_ns, one.run.id), reverse=True)
    if options.limit > 0:
        found = found[: options.limit]
    if options.json:
        return json.dumps([_json(one) for one in found], indent=None if options.watch else 1)
    return _table(found) if found else ""


def _table(found: list[RunSummary]) -> str:
    color, now_ns = wants_color(), time.time_ns()
    rows = [_row(one, now_ns) for one in found]
    styles = [
        ["", _STATE_STYLE.get(row[1], ""), _finding_style(one), *[""] * 6]
        for one, row in zip(found, rows, strict=True)
    ]
    width = terminal_width() if sys.stdout.isatty() else None
    return render_table(_COLUMNS, rows, width=width, color=color, styles=styles)


def _row(one: RunSummary, now_ns: int) -> list[str]:
    run, status = one.run, one.status
    end_ns = status.ended_ns or status.updated_ns
    return [
        one.path.name,
        status.state.value,
        _findings(status.findings),
        f"{status.steps:,}",
        number(status.last_loss),
        duration(max(end_ns - run.created_ns, 0) / 1e9) if end_ns else "-",
        ago((now_ns - run.created_ns) / 1e9),
        ", ".join(run.tags),
        run.id[:13],
    ]


def _findings(counts: Any) -> str:
    """`2 errors, 1 warning`; notes only where there is nothing worse."""
    parts = [
        f"{many} {severity}{'' if many == 1 else 's'}"
        for severity in ("error", "warning")
        if (many := counts.get(severity, 0))
    ]
    if not parts and (notes := counts.get("note", 0)):
        return f"{notes} note{'' if notes == 1 else 's'}"
    return ", ".join(parts) or "-"


def _finding_style(one: RunSummary) -> str:
    counts = one.status.findings
    return "bold red" if counts.get("error") else "yellow" if counts.get("warning") else "dim"


def _json(one: RunSummary) -> dict[str, Any]:
    run, status = one.run, one.status
    return {
        "id": run.id,
        "name": run.name,
        "path": str(one.path),
        "state": status.state.value,
        "created_ns": run.created_ns,
        "updated_ns": status.updated_ns,
        "ended_ns": status.ended_ns,
        "exit_code": status.exit_code,
        "trainings": status.trainings,
        "steps": status.steps,
        "last_loss": number(status.last_loss) if status.last_loss != status.last_loss else status.last_loss,
        "findings": dict(status.findings),
        "tags": list(run.tags),
    }
