"""Attach this process to its parent's run once it has imported torch; else be as if this were not there.

Python imports a module of this name when it starts. It must do no harm where unbug is not installed.
"""

# ruff: noqa: PTH100, PTH120
# pathlib takes longer to import than python takes to start.

import os
import sys


def _begin() -> None:
    here = os.path.dirname(os.path.abspath(__file__))
    from _unbug_start import prepare  # type: ignore[import-not-found]

    prepare()
    del sys.modules["_unbug_start"]
    sys.path[:] = [folder for folder in sys.path if os.path.abspath(folder) != here]
    sys.path_importer_cache.pop(here, None)
    del sys.modules["sitecustomize"]
    # The one that this file hides takes its place. If there is none, `site` passes over the ImportError, as
    # it does in a process without unbug.
    import sitecustomize  # type: ignore[import-not-found]  # noqa: F401


_begin()
