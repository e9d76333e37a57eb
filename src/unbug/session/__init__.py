"""What `unbug.run` is: wires recorder, live rules, console and environment around a program.

Importing this loads nothing heavy; each name loads what it needs when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unbug.session.begin import attach_program, run
    from unbug.session.cell import notebook_name, run_in_notebook
    from unbug.session.children import attach_child
    from unbug.session.command import run_command
    from unbug.session.framework import FrameworkRun
    from unbug.session.live import reaches
    from unbug.session.media_data import Audio, Histogram, Text
    from unbug.session.media_images import Figure, Image
    from unbug.session.media_table import Table
    from unbug.session.rules import rule_settings
    from unbug.session.session import Session
    from unbug.session.view import RunView, open_run

__all__ = [
    "Audio",
    "Figure",
    "FrameworkRun",
    "Histogram",
    "Image",
    "RunView",
    "Session",
    "Table",
    "Text",
    "attach_child",
    "attach_program",
    "notebook_name",
    "open_run",
    "reaches",
    "rule_settings",
    "run",
    "run_command",
    "run_in_notebook",
]

_HOME = {
    "Audio": "media_data",
    "Figure": "media_images",
    "FrameworkRun": "framework",
    "Histogram": "media_data",
    "Image": "media_images",
    "RunView": "view",
    "Session": "session",
    "Table": "media_table",
    "Text": "media_data",
    "attach_child": "children",
    "attach_program": "begin",
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
