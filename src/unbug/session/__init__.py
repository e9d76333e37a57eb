"""What `unbug.run` is: wires recorder, live rules, console and environment around a program.

Importing this loads nothing heavy; each name loads what it needs when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unbug.session.begin import run
    from unbug.session.cell import notebook_name, run_in_notebook
    from unbug.session.children import attach_child
    from unbug.session.command import run_command
    from unbug.session.live import reaches
    from unbug.session.rules import rule_settings
    from unbug.session.session import Session
    from unbug.session.view import RunView, open_run

__all__ = [
    "RunView",
    "Session",
    "attach_child",
    "notebook_name",
    "open_run",
    "reaches",
    "rule_settings",
    "run",
    "run_command",
    "run_in_notebook",
]

_HOME = {
    "RunView": "view",
    "Session": "session",
    "attach_child": "children",
    "notebook_name": "cell",
    "open_run": "view",
    "reaches": "live",
    "rule_settings": "rules",
    "run": "begin",
    "run_command": "command",
    "run_in_notebook": "cell",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"unbug.session.{_HOME[name]}"), name)
    raise AttributeError(f"module 'unbug.session' has no attribute {name!r}")
