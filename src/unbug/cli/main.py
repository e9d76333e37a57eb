"""Parse the command line, load the one command that was asked for, and turn every failure into a message."""

from __future__ import annotations

import argparse
import importlib
import io
import os
import sys
from collections.abc import Sequence
from types import ModuleType

from unbug.cli.options import options_with_value
from unbug.cli.style import clip
from unbug.errors import UnbugError

__all__ = ["COMMANDS", "build_parser", "main"]

COMMANDS = {
    "run": "record a program, and say what is wrong with its training",
    "ls": "list the runs",
    "show": "one run at a glance",
    "tail": "follow a run while it goes on",
    "diagnose": "state the findings of a run",
    "report": "write the findings with their evidence as one HTML file",
    "rules": "list the rules",
    "rule": "explain one rule",
    "sql": "query the tables of a run",
    "export": "write tables as csv, parquet or json",
    "mv": "give a run another name",
    "tag": "add tags to a run, or take them away",
    "pack": "write a run into one file, which every command opens",
    "rm": "remove runs",
    "gc": "merge and tidy up what runs left behind",
    "doctor": "check the installation, and show each setting and where it comes from",
    "completion": "print the completion script of a shell",
}
_EPILOG = """\
RUN is a path, an id, a name or @last. Every command takes --help.

  unbug run train.py --lr 0.1      record; options before the script are unbug's
  unbug diagnose @last             what is wrong, where, since when, on what evidence
"""


def build_parser(only: str | None = None) -> argparse.ArgumentParser:
    """The whole command line; with `only`, just that command's options are loaded."""
    parser = argparse.ArgumentParser(
        prog="unbug",
        description="The model debugger: records a PyTorch training and says what is wrong with it.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"unbug {_version()}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for name, summary in COMMANDS.items():
        command = commands.add_parser(
            name,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        if only in (None, name):
            _load(name).arguments(command)
    return parser


def main(argv: Sequence[str]) -> int:
    """Run one command.

    Returns:
        The exit code, as in `unbug.errors.EXIT_CODES`; 130 after Ctrl-C.
    """
    try:
        return _dispatch(list(argv))
    except UnbugError as error:
        if os.environ.get("UNBUG_DEBUG") == "1":
            raise
        _say(f"unbug: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        if "run" in argv[:1]:  # the process is to end by the signal
            _hide_own_frames()
            raise
        return 130
    except BrokenPipeError:
        _silence_stdout()
        return 0
    except Exception as error:
        if os.environ.get("UNBUG_DEBUG") == "1":
            raise
        _say(
            f"unbug: unbug itself failed: {type(error).__name__}: {error}\n"
            "run it again with UNBUG_DEBUG=1 to see where, and please report it"
        )
        return 1


def _hide_own_frames() -> None:
    """The program has shown its own traceback. An interrupt that came before or after it shows none."""
    hook = sys.excepthook
    if hook is not sys.__excepthook__:  # the launcher's, which says nothing
        return

    def brief(kind: type[BaseException], error: BaseException, trace: object) -> None:
        sys.excepthook = hook
        _say(kind.__name__)

    sys.excepthook = brief


def _dispatch(argv: list[str]) -> int:
    if argv[:1] != ["run"] and isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # names hold any Unicode, a terminal may not
    command = next((word for word in argv if not word.startswith("-")), None)
    parser = build_parser(command if command in COMMANDS else "")
    if command == "run" and argv[0] == "run":  # the program's own words are not ours to parse
        from unbug.cli.commands.run import split

        ours, program = split(argv[1:])
        options = parser.parse_args(["run", *ours])
        options.program = program
    else:
        options = parser.parse_args(_options_first(parser, command, argv))
    if options.command is None:
        parser.print_help()
        return 0
    code = int(_load(options.command).run(options))
    if options.command != "run":  # after that one, the streams are as the program left them
        sys.stdout.flush()
    return code


def _options_first(parser: argparse.ArgumentParser, command: str | None, argv: list[str]) -> list[str]:
    """Put a command's options before its arguments: argparse loses an optional argument behind an option."""
    subparsers = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    if command not in subparsers.choices:
        return argv
    takes_value = options_with_value(subparsers.choices[command])
    at = argv.index(command) + 1
    options: list[str] = []
    arguments: list[str] = ["--"] if command == "tag" else []  # `-name` is a tag to take away
    known = {
        spelling for action in subparsers.choices[command]._actions for spelling in action.option_strings
    }
    while at < len(argv):
        word = argv[at]
        if word == "--":
            arguments += argv[at + 1 if command == "tag" else at :]
            break
        if command == "tag" and word.startswith("-") and not word.startswith("--") and word not in known:
            arguments.append(word)
            at += 1
            continue
        many = 2 if word in takes_value else 1
        (options if word.startswith("-") and word != "-" else arguments).extend(argv[at : at + many])
        at += many
    return [*argv[: argv.index(command) + 1], *options, *arguments]


def _load(command: str) -> ModuleType:
    return importlib.import_module(f"unbug.cli.commands.{command}")


def _version() -> str:
    from unbug import __version__

    return __version__


def _say(text: str) -> None:
    try:
        print("\n".join(clip(line, 10_000) for line in text.split("\n")), file=sys.stderr, flush=True)
    except OSError:
        return  # nobody listens any more


def _silence_stdout() -> None:
    """Keep the interpreter from complaining, as it flushes at exit, that the reader of a pipe has gone."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
