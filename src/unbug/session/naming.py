"""What a run is called that nobody gave a name."""

from __future__ import annotations

from pathlib import Path

__all__ = ["name_of_module", "name_of_script"]

_ENTRIES = ("__main__", "main", "run", "app", "cli", "start")
"""Stems that say nothing: the folder's name alone says more."""
_KINDS = ("train", "training", "trainer", "finetune", "pretrain")
"""Stems that say which of a folder's programs it is, and not of what."""
_HOLDERS = (
    "src",
    "scripts",
    "script",
    "bin",
    "code",
    "python",
    "tools",
    "tmp",
    "temp",
    "home",
    "root",
    "users",
)
"""Folders whose name says nothing either; the one around them is asked."""


def name_of_script(path: str | Path) -> str:
    """The stem of a script; with, or for one such as `main.py` only, the name of its folder.

    `~/mnist/main.py` is `mnist`, `~/mnist/src/train.py` is `mnist-train`, `~/mnist/distil.py` is `distil`.
    """
    where = Path(path).absolute()
    return _named(where.stem, where.parent)


def name_of_module(name: str) -> str:
    """The name of a module run by `-m`; one in the current folder is named as a script there."""
    return name if "." in name else _named(name, Path.cwd())


def _named(stem: str, folder: Path) -> str:
    word = stem.casefold()
    if word not in _ENTRIES and word not in _KINDS:
        return stem
    home = _home()
    while folder.name.casefold() in _HOLDERS and folder not in (home, folder.parent):
        folder = folder.parent
    if not folder.name or folder == home:
        return stem
    return folder.name if word in _ENTRIES else f"{folder.name}-{stem}"


def _home() -> Path | None:
    try:
        return Path.home()
    except RuntimeError:
        return None
