"""`unbug rm RUN…`: remove runs for good."""

from __future__ import annotations

import argparse
import sys

from unbug.cli.options import add_directory, add_run, directory_of
from unbug.errors import UsageError

__all__ = ["arguments", "run"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_run(parser, many=True)
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")
    parser.add_argument("-f", "--force", action="store_true", help="remove a run that is still recorded, too")
    add_directory(parser)


def run(options: argparse.Namespace) -> int:
    """Find all of them before the first is removed, ask, remove."""
    from unbug.store import find_run, open_reader, remove_run
    from unbug.types import RunState

    directory = directory_of(options)
    paths = list(dict.fromkeys(find_run(wanted, directory) for wanted in options.runs))
    for path in paths:
        reader = open_reader(path)
        running = reader.status.state is RunState.RUNNING
        reader.close()
        if running and not options.force:
            raise UsageError(f"{path.name} is still recorded; end its program first, or say `--force`")
    if not options.yes:
        if not sys.stdin.isatty():
            raise UsageError("will not remove runs without asking; say `--yes`")
        print("\n".join(str(path) for path in paths), file=sys.stderr)
        print(
            f"remove {len(paths)} run{'' if len(paths) == 1 else 's'}? [y/N] ",
            end="",
            file=sys.stderr,
            flush=True,
        )
        if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
            return 1
    for path in paths:
        remove_run(path, even_running=options.force)
        print(f"removed {path}")
    return 0
