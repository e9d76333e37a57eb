"""`unbug diagnose RUN`: the findings, first the one to fix first."""

from __future__ import annotations

import argparse
import json
import sys

from unbug.cli.opened import opened
from unbug.cli.options import add_directory, add_json, add_language, add_run, find, settings_of
from unbug.cli.style import can_show, terminal_width, wants_color

__all__ = ["arguments", "run"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_run(parser)
    parser.add_argument("--training", metavar="N", type=int, help="only this training of the run, from 0")
    parser.add_argument(
        "--fail-on", metavar="SEVERITY", help="error or warning: exit code 3 if a finding this bad stands"
    )
    add_json(parser)
    add_language(parser)
    add_directory(parser)


def run(options: argparse.Namespace) -> int:
    """Ask every rule, and print what they say."""
    settings = settings_of(options, {"fail_on": options.fail_on, "lang": options.lang})
    path = find(options)
    from unbug.detect import diagnose
    from unbug.report import findings_json, terminal
    from unbug.session import reaches, rule_settings
    from unbug.types import RunState

    with opened(path) as reader:
        diagnosis = diagnose(
            reader,
            live=reader.status.state is RunState.RUNNING,
            only_training=options.training,
            settings=rule_settings(settings),
        )
        if options.json:
            print(json.dumps(findings_json(reader, diagnosis), indent=1, allow_nan=False))
        else:
            ascii_only = not can_show(sys.stdout)
            print(
                terminal(
                    diagnosis,
                    width=terminal_width(),
                    color=wants_color(),
                    ascii_only=ascii_only,
                    language=settings["lang"],
                )
            )
    return 3 if reaches(diagnosis.findings, settings["fail_on"]) else 0
