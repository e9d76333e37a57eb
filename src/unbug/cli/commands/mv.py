"""`unbug mv RUN NAME`: give a run another name."""

from __future__ import annotations

import argparse

from unbug.cli.options import add_directory, add_run, find

__all__ = ["arguments", "run"]

_EPILOG = """\
The folder follows the name. While the run is recorded, the name changes alone. Its id never changes.
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = _EPILOG
    add_run(parser)
    parser.add_argument("name", metavar="NAME", help="the new name; any text")
    add_directory(parser)


def run(options: argparse.Namespace) -> int:
    """Rename it, say where it lies now."""
    path = find(options)
    from unbug.cli.style import clip
    from unbug.store import rename_run

    print(clip(str(rename_run(path, options.name)), 10_000))
    return 0
