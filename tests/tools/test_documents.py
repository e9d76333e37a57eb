"""README and documentation name only files, commands, options, rules and settings that exist."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

from unbug.cli import build_parser
from unbug.detect import rules
from unbug.settings import KNOWN

REPO = Path(__file__).parent.parent.parent
TOP = [REPO / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
PAGES = [*TOP, *sorted((REPO / "docs").rglob("*.md"))]
VARIABLES = {known.variable for known in KNOWN.values()} | {"UNBUG_DEBUG"}
NO_SETTINGS = {
    # What processes tell each other.
    *("UNBUG_RUN_ID", "UNBUG_RUN_PATH", "UNBUG_RUN_NAME", "UNBUG_FINDING_RULE"),
    "UNBUG_KERNEL",  # read where nothing else is
}


def _name(path: Path) -> str:
    return str(path.relative_to(REPO))


def _code(text: str) -> list[str]:
    """Fenced blocks line by line, and inline code."""
    blocks = re.findall(r"^```[^\n]*\n(.*?)^```", text, flags=re.M | re.S)
    rest = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    lines = [re.sub(r"(^|\s)#.*", "", line) for block in blocks for line in block.splitlines()]
    return lines + re.findall(r"`([^`\n]+)`", rest)


def _commands() -> dict[str, argparse.ArgumentParser]:
    for action in build_parser()._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    raise AssertionError("the parser has no commands")


@pytest.mark.parametrize("page", TOP, ids=_name)
def test_relative_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_commands_and_their_options_exist(page):
    commands = _commands()
    wrong = []
    for line in _code(page.read_text(encoding="utf-8")):
        for called in re.findall(r"(?:^|[\s$;|(])unbug ((?!COMMAND)[a-z]+)\b([^|;#]*)", line):
            name, rest = called[0], re.sub(r"'[^']*'", "", called[1])
            if name not in commands:
                wrong.append(f"unbug {name}")
                continue
            known = {flag for action in commands[name]._actions for flag in action.option_strings}
            ours = re.split(r"\s(?=[\w./]+\.py\b|-m\s|--\s)", rest)[0] if name == "run" else rest
            if name == "tag":  # -OLD takes a tag off
                continue
            wrong += [
                f"unbug {name} {flag}"
                for flag in re.findall(r"(?<!\S)--?[a-z][\w-]*", ours)
                if flag not in known
            ]
    assert wrong == []


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_rules_and_variables_exist(page):
    text = page.read_text(encoding="utf-8")
    codes = {rule.code for rule in rules()}
    named = set(re.findall(r"unbug rule ([A-Z]\d{3})\b", text)) | set(
        re.findall(r"tool\.unbug\.rules\.(?!CODE\b)(\w+)", text)
    )
    assert named <= codes
    plug_in = {"UNBUG_API"}  # what the module of a plug-in states
    assert set(re.findall(r"\bUNBUG_[A-Z_]+[A-Z]\b", text)) <= VARIABLES | plug_in | NO_SETTINGS
    source = "\n".join(path.read_text(encoding="utf-8") for path in (REPO / "src").rglob("*.py"))
    assert all(name in source for name in NO_SETTINGS)


def test_make_targets_exist():
    makefile = (REPO / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, flags=re.M))
    for page in PAGES:
        called = {
            m
            for line in _code(page.read_text(encoding="utf-8"))
            for m in re.findall(r"^make ([a-z]+)\b", line)
        }
        assert called <= targets, page
