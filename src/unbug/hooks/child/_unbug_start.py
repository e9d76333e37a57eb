"""Attach this process to a run once it has imported torch. Loads nothing but `os`, `sys` and its neighbour.

Two roads lead here: the `sitecustomize` of this folder, which `unbug run` puts on the `PYTHONPATH` of its
children, and `unbug.pth` in the folder of installed packages, which works where a launcher has cleared that,
and where there is no parent: `UNBUG=1 python train.py`.
"""

# ruff: noqa: PTH120
# pathlib takes longer to import than python takes to start.

import os
import sys

__all__ = ["prepare"]

_OFF = ("0", "false", "no", "off", "")
"""What `UNBUG` may be to switch everything off, as in `unbug.settings`."""


def prepare() -> None:
    """Wait for torch, if this process is to be recorded and does not wait yet."""
    switch = os.environ.get("UNBUG")
    if not os.environ.get("UNBUG_RUN_PATH") if switch is None else switch.strip().lower() in _OFF:
        return
    if any(type(finder).__module__ == "_unbug_torch" for finder in sys.meta_path):
        return
    here = os.path.dirname(__file__)
    sys.path.insert(0, here)
    try:
        from _unbug_torch import when_loaded  # type: ignore[import-not-found]
    finally:
        sys.path.remove(here)
        sys.path_importer_cache.pop(here, None)
        sys.modules.pop("_unbug_torch", None)
    when_loaded("torch", _attach)


def _attach() -> None:
    try:
        from unbug import session

        run = os.environ.get("UNBUG_RUN_PATH")
        if run:
            session.attach_child(run)
        else:
            session.attach_program()
    except ImportError:
        return  # another environment, without unbug
    except Exception as error:
        sys.stderr.write(f"unbug: this process is not recorded: {error}\n")
