"""The command line."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from tools.pages.markdown import table
from unbug.cli import build_parser

__all__ = ["page"]


def page() -> str:
    """Every command with its usage, arguments and options, from the parser that runs."""
    root = build_parser()
    parts = ["# Command line", root.description or "", "```text\nunbug COMMAND [options]\n```"]
    commands = list(_commands(root))
    rows = [(f"[`unbug {name}`](#unbug-{name})", text) for name, text, _ in commands]
    parts += [table(("command", "what it does"), rows)]
    own = list(_options(root))
    if own:
        parts += ["Options of `unbug` itself:", table(("option", "meaning"), own)]
    for name, text, command in commands:
        parts += [f"## unbug {name}", command.description or text, f"```text\n{_usage(name, command)}\n```"]
        arguments, options = list(_arguments(command)), list(_options(command))
        if arguments:
            parts.append(table(("argument", "meaning"), arguments))
        if options:
            parts.append(table(("option", "meaning"), options))
        if command.epilog:
            parts.append(f"```text\n{command.epilog.strip()}\n```")
    return "\n\n".join(part for part in parts if part)


def _commands(root: argparse.ArgumentParser) -> Iterator[tuple[str, str, argparse.ArgumentParser]]:
    for action in root._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for name, command in action.choices.items():
                if name in helps and helps[name] != argparse.SUPPRESS:
                    yield name, helps[name], command


def _shown(command: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in command._actions:
        hidden = action.help == argparse.SUPPRESS or isinstance(action, argparse._SubParsersAction)
        if not hidden and action.dest != "help":
            yield action


def _arguments(command: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    for action in _shown(command):
        if not action.option_strings:
            yield f"`{_value(action)}`", _meaning(action)


def _options(command: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    for action in _shown(command):
        if action.option_strings:
            value = "" if action.nargs == 0 else " " + _value(action)
            yield ", ".join(f"`{flag}{value}`" for flag in action.option_strings), _meaning(action)


def _value(action: argparse.Action) -> str:
    if isinstance(action.metavar, str):
        return action.metavar
    if action.choices:
        return "{" + ",".join(str(choice) for choice in action.choices) + "}"
    return action.dest.upper()


def _meaning(action: argparse.Action) -> str:
    return (action.help or "").replace("%(default)s", str(action.default)).replace("%%", "%")


def _usage(name: str, command: argparse.ArgumentParser) -> str:
    if command.usage:
        lines = command.usage.replace("%(prog)s", f"unbug {name}").splitlines()
        return "\n".join(line.strip() for line in lines)
    given = [
        _value(a) if a.nargs not in ("?", "*") else f"[{_value(a)}]"
        for a in _shown(command)
        if not a.option_strings
    ]
    return " ".join([f"unbug {name}", "[options]", *given])
