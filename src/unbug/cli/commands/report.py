"""`unbug report RUN -o report.html`: one static file, each finding with its evidence drawn."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from unbug.cli.opened import opened
from unbug.cli.options import add_directory, add_language, add_run, find, settings_of
from unbug.errors import UsageError

__all__ = ["arguments", "run"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_run(parser)
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="file to write, - for stdout (default: RUN.html)"
    )
    add_language(parser)
    add_directory(parser)


def run(options: argparse.Namespace) -> int:
    """Write the file."""
    settings = settings_of(options, {"lang": options.lang})
    path = find(options)
    from unbug.detect import diagnose
    from unbug.report import html
    from unbug.session import rule_settings
    from unbug.types import RunState

    with opened(path) as reader:
        live = reader.status.state is RunState.RUNNING
        diagnosis = diagnose(reader, live=live, settings=rule_settings(settings))
        page = html(reader, diagnosis, language=settings["lang"])
    if options.output == "-":
        sys.stdout.write(page)
        return 0
    target = Path(options.output or f"{path.resolve().name}.html")
    try:
        target.write_text(page, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {target}: {error.strerror}; choose another file with `-o`") from None
    print(target)
    return 0
