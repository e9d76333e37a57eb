"""`unbug gc`: merge what writers left behind, drop temporary files."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from unbug.cli.options import add_directory, add_json, directory_of, settings_of
from unbug.cli.style import clip
from unbug.cli.words import count, size

__all__ = ["arguments", "run"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_json(parser)
    add_directory(parser)


def run(options: argparse.Namespace) -> int:
    """Tidy up every run of the folder; runs that are still recorded are left alone."""
    from unbug.cli.progress import progress
    from unbug.store import collect, list_runs

    directory = directory_of(options)
    done = []
    with progress("tidying up", len(list_runs(directory))) as advance:
        for one in collect(directory, disk_bytes=settings_of(options)["disk"]):
            done.append(one)
            advance()
    if options.json:
        print(json.dumps([{**asdict(one), "path": str(one.path)} for one in done], indent=1))
        return 0
    for one in done:
        for line in (one.skipped, *one.said):
            if line:
                print(clip(f"{one.path.name}: {line}", 1000))
    before, after = sum(one.bytes_before for one in done), sum(one.bytes_after for one in done)
    files = sum(one.temporary_files for one in done)
    removed = count(files, "temporary file")
    print(f"{count(len(done), 'run')}: {size(before)} before, {size(after)} now, {removed} removed")
    return 0
