"""`unbug gc`: merge what writers left behind, drop temporary files."""

from __future__ import annotations

import argparse

from unbug.cli.options import add_directory, directory_of

__all__ = ["arguments", "run"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_directory(parser)


def run(options: argparse.Namespace) -> int:
    """Tidy up every run of the folder; runs that are still recorded are left alone."""
    from unbug.store import collect

    print(collect(directory_of(options)))
    return 0
