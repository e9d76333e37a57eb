"""Write the pages of docs/reference that come from code; `--check` only fails if one is out of date.

Each page is a file of `tools/pages`, a function from imported code to Markdown.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tools import pages

REPO = Path(__file__).parent.parent
RULES = pages.REFERENCE / "rules"


def stale(wanted: Mapping[Path, str], repo: Path) -> dict[Path, str]:
    """Why each file that is out of date is; empty if none is."""
    reasons = {}
    for path, text in wanted.items():
        there = repo / path
        if not there.exists():
            reasons[path] = "is missing"
        elif there.read_text(encoding="utf-8") != text:
            reasons[path] = "differs from what the code says"
    for there in sorted((repo / RULES).glob("*.md")):
        if there.relative_to(repo) not in wanted:
            reasons[there.relative_to(repo)] = "describes a rule that is no more"
    return reasons


def write(wanted: Mapping[Path, str], repo: Path) -> list[Path]:
    """Bring the files up to date; returns those that changed."""
    changed = list(stale(wanted, repo))
    for path in changed:
        if path in wanted:
            (repo / path).parent.mkdir(parents=True, exist_ok=True)
            (repo / path).write_text(wanted[path], encoding="utf-8")
        else:
            (repo / path).unlink()
    return changed


def main(arguments: list[str]) -> int:
    wanted = pages.everything()
    if "--check" in arguments:
        reasons = stale(wanted, REPO)
        for path, reason in reasons.items():
            print(f"{path} {reason}; run `make generate`", file=sys.stderr)
        return 1 if reasons else 0
    for path in write(wanted, REPO):
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
