"""`unbug pack RUN -o file.unbug`: a run as one file."""

from __future__ import annotations

import argparse
from pathlib import Path

from unbug.cli.options import add_directory, add_run, find
from unbug.cli.words import size

__all__ = ["arguments", "run"]

_EPILOG = """\
The file is the run, stored as it is: `unbug show FILE`, `diagnose`, `sql`, `report`, `export` and
`ls` open it without unpacking. It is a zip, so anybody can look inside.

  unbug pack @last                          NAME.unbug in the current folder
  unbug pack @last --no-data -o x.unbug     numbers, but neither data nor output nor source
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = _EPILOG
    add_run(parser)
    parser.add_argument("-o", "--output", metavar="FILE", help="file to write (default: NAME.unbug)")
    parser.add_argument(
        "--no-data",
        action="store_true",
        help="leave out batches, console, source, diff, media, and texts of exceptions",
    )
    parser.add_argument("-f", "--force", action="store_true", help="replace a file that is there")
    add_directory(parser)


def run(options: argparse.Namespace) -> int:
    """Write the file, say where it is."""
    path = find(options)
    from unbug.store import pack_run, packed_name

    target = Path(options.output or packed_name(path))
    written = pack_run(path, target, data=not options.no_data, replace=options.force)
    print(f"{target}  ({size(written)})")
    return 0
