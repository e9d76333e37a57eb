"""Pages of docs/reference, from code to Markdown. One file a page; the same text on every machine."""

from __future__ import annotations

from pathlib import Path

from tools.pages import cli, errors, findings, python, rules, settings

__all__ = ["NOTE", "REFERENCE", "everything"]

REFERENCE = Path("docs/reference")
NOTE = "<!-- Written by `make generate` from the code. Do not edit. -->\n\n"


def everything() -> dict[Path, str]:
    """All generated files by path in the repository."""
    texts = {
        "cli.md": cli.page(),
        "python.md": python.page(),
        "settings.md": settings.page(),
        "errors.md": errors.page(),
        "findings.md": findings.page(),
        **{f"rules/{name}": text for name, text in rules.pages().items()},
    }
    marked = {REFERENCE / name: NOTE + text.strip() + "\n" for name, text in texts.items()}
    return marked | {REFERENCE / "findings.schema.json": findings.schema_text()}
