"""Print what `[dependency-groups]` of pyproject.toml asks of one package: `requirement.py torch`."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path


def requirement(package: str, groups: dict[str, list[str]]) -> str:
    """The one requirement of that name.

    Raises:
        LookupError: no group has it.
    """
    for wanted in (item for group in groups.values() for item in group):
        if re.split(r"[\s<>=!~;\[]", wanted, maxsplit=1)[0] == package:
            return wanted
    raise LookupError(f"no dependency group of pyproject.toml asks for {package!r}")


if __name__ == "__main__":
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8"))
    print(requirement(sys.argv[1], project["dependency-groups"]))
