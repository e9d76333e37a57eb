"""Attach this process to its parent's run once it has imported torch; else be as if this were not there.

Python imports a module of this name when it starts. It must do no harm where unbug is not installed.
"""

# ruff: noqa: PTH100, PTH120
# pathlib takes longer to import than python takes to start.

import os
import sys


def _attach() -> None:
    run = os.environ.get("UNBUG_RUN_PATH")
    if not run or os.environ.get("UNBUG") == "0":
        return
    try:
        from unbug.session import attach_child

        attach_child(run)
    except ImportError:
        return  # another environment, without unbug
    except Exception as error:
        sys.stderr.write(f"unbug: this process is not recorded: {error!r}\n")


def _prepare() -> None:
    here = os.path.dirname(os.path.abspath(__file__))
    if os.environ.get("UNBUG_RUN_PATH") and os.environ.get("UNBUG") != "0":
        from _unbug_torch import when_loaded  # type: ignore[import-not-found]

        when_loaded("torch", _attach)
        del sys.modules["_unbug_torch"]
    sys.path[:] = [folder for folder in sys.path if os.path.abspath(folder) != here]
    sys.path_importer_cache.pop(here, None)
    del sys.modules["sitecustomize"]
    # The one that this file hides takes its place. If there is none, `site` passes over the ImportError, as
    # it does in a process without unbug.
    import sitecustomize  # type: ignore[import-not-found]  # noqa: F401


_prepare()
