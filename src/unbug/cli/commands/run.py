"""`unbug run [options] SCRIPT [ARGS…]`: run a program as under `python`, and record it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from unbug.cli.options import add_directory, add_language, options_with_value, settings_of
from unbug.errors import UsageError

__all__ = ["arguments", "run", "split"]

_EPILOG = """\
Options before SCRIPT are unbug's; all after it is the program's.

  unbug run train.py --lr 0.1
  unbug run --name baseline --tag cifar -m package.train --epochs 3
  unbug run --fail-on error train.py     exit code 3 if something is wrong with the training
  unbug run --stop-on error train.py     do not spend a night on a training that cannot succeed
  unbug run -- torchrun --nproc-per-node 4 train.py      all processes of a command, as one run
  unbug run --resume auto train.py       go on with the run that was cut off, as its next attempt

The exit code is the program's own if that is not 0. Findings go to stderr; stdout stays the program's.
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options; what follows them is cut off by `split` before they are parsed."""
    parser.usage = (
        "unbug run [options] SCRIPT [ARGS…]\n"
        "       unbug run [options] -m MODULE [ARGS…]\n"
        "       unbug run [options] -- COMMAND [ARGS…]"
    )
    parser.epilog = _EPILOG
    add_directory(parser)
    parser.add_argument(
        "--name",
        metavar="NAME",
        help="name of the run (default: the script's, or its folder's for one such as main.py)",
    )
    parser.add_argument(
        "--tag", metavar="TAG", action="append", default=[], help="tag of the run; may be repeated"
    )
    parser.add_argument(
        "--budget", metavar="SHARE", help="time that recording may cost, such as 2%% (the default)"
    )
    parser.add_argument("--every", metavar="N", help="record details on every N-th step instead of by budget")
    parser.add_argument(
        "--disk", metavar="SIZE", help="size from which old detail is thinned (default: 200MB)"
    )
    parser.add_argument(
        "--quiet", action="store_true", default=None, help="print nothing, neither live nor at the end"
    )
    parser.add_argument(
        "--fail-on", metavar="SEVERITY", help="error or warning: exit code 3 if a finding this bad stands"
    )
    parser.add_argument(
        "--stop-on",
        metavar="SEVERITY",
        help="error or warning: interrupt the program as soon as a finding this bad stands, exit code 3",
    )
    parser.add_argument(
        "--resume",
        metavar="RUN",
        help="go on with this run as its next attempt; auto: with the unfinished one",
    )
    parser.add_argument(
        "--notify", metavar="COMMAND", help="run this in a shell, once, on the first error finding"
    )
    parser.add_argument(
        "--no-probes",
        dest="probes",
        action="store_false",
        default=None,
        help="make no experiments on copies of the model when the program has ended",
    )
    add_language(parser)
    parser.add_argument("--strict", action="store_true", default=None, help=argparse.SUPPRESS)


def split(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Part our options from the program's words.

    Returns:
        Our words, and the program: `[SCRIPT, ARGS…]`, `["-m", MODULE, ARGS…]` or `["--", COMMAND, ARGS…]`.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    arguments(parser)
    takes_value = options_with_value(parser)
    at = 0
    while at < len(words):
        word = words[at]
        if word == "--":
            return list(words[:at]), list(words[at:])
        if word.startswith("-m") and not word.startswith("--"):
            module = [word[2:]] if len(word) > 2 else []
            return list(words[:at]), ["-m", *module, *words[at + 1 :]]
        if not word.startswith("-") or word == "-":
            break
        at += 2 if word in takes_value else 1
    return list(words[:at]), list(words[at:])


def run(options: argparse.Namespace) -> int:
    """Record the program. Returns only where it ended without an exit code of its own.

    Raises:
        SystemExit, KeyboardInterrupt: as the program ended, or 3 with `--fail-on`.
    """
    program: list[str] = options.program
    if not program or program in (["-m"], ["--"]):
        raise UsageError(
            "nothing to run; `unbug run [options] SCRIPT [ARGS…]` takes a path, "
            "`unbug run [options] -m MODULE [ARGS…]` a module, `unbug run [options] -- COMMAND…` any command"
        )
    settings = settings_of(
        options,
        {
            "name": options.name,
            "tags": tuple(options.tag),
            "budget": options.budget,
            "every": options.every,
            "disk": options.disk,
            "quiet": options.quiet,
            "fail_on": options.fail_on,
            "stop_on": options.stop_on,
            "lang": options.lang,
            "probes": options.probes,
            "strict": options.strict,
            "resume": options.resume,
            "notify": options.notify,
        },
    )
    from unbug.session import run_command

    run_command(program, settings=settings)
    return 0
