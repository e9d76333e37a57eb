"""Run a program with another tool attached, as its README says: `peers_hook.py TOOL OUT SCRIPT`.

The program is not changed. A tool that wants a model and an optimizer gets them when the program makes the
optimizer: the outermost module that holds most of its parameters. One that wants to be told of each step gets
it after `optimizer.step()`, with the last loss on which `backward` was called. What the tool says is written
to OUT as a list of `{"rule", "severity", "message"}` with severity `error`, `warning` or `note`.
Not part of `make bench`: `peers_find.py` calls it.
"""

from __future__ import annotations

import gc
import json
import runpy
import sys
import warnings
from pathlib import Path
from typing import Any

import torch
from torch.optim.optimizer import register_optimizer_step_post_hook

warnings.simplefilter("ignore")
SAID: list[dict[str, str]] = []
ATTACHED: list[Any] = []
LAST: dict[str, Any] = {"loss": None}


def _model_of(optimizer: torch.optim.Optimizer) -> torch.nn.Module | None:
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    modules = [m for m in gc.get_objects() if isinstance(m, torch.nn.Module)]
    inner = {id(child) for m in modules for child in m.children()}
    roots = [m for m in modules if id(m) not in inner]
    share = {id(m): sum(id(p) in held for p in m.parameters()) for m in roots}
    best = max(roots, key=lambda m: share[id(m)], default=None)
    return best if best is not None and share[id(best)] else None


def _say(rule: str, severity: str, message: str) -> None:
    SAID.append({"rule": rule, "severity": severity, "message": str(message)[:300]})


class Audit:
    """torch-audit: `autopatch`, every step, all runtime validators."""

    def __init__(self, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
        from torch_audit import autopatch

        self.auditor = autopatch(model, optimizer=optimizer, every_n_steps=1, suppress_internal_errors=True)

    def step(self) -> None:
        """Nothing: it patches `optimizer.step` itself."""

    def end(self) -> None:
        """Take its findings."""
        kinds = {"INFO": "note", "WARN": "warning", "ERROR": "error", "FATAL": "error"}
        for found in self.auditor.finish().findings:
            _say(found.rule_id, kinds[found.severity.value], found.message)


class Mortem:
    """torchmortem: `Autopsy`, thorough sampling, told of each step and its loss."""

    def __init__(self, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
        from torchmortem import Autopsy

        self.autopsy = Autopsy(model, optimizer=optimizer, sampling="thorough")
        self.autopsy.attach()

    def step(self) -> None:
        """Tell it the loss."""
        if LAST["loss"] is not None:
            self.autopsy.step(loss=float(LAST["loss"]))

    def end(self) -> None:
        """Take its findings."""
        self.autopsy.detach()
        kinds = {"CRITICAL": "error", "WARNING": "warning"}
        for found in self.autopsy.get_report().findings:
            _say(found.category, kinds.get(found.severity.name, "note"), found.title)


class Check:
    """torcheck: parameters must change, outputs must be finite. It raises at the first violation."""

    def __init__(self, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
        import torcheck

        torcheck.register(optimizer)
        torcheck.add_module_changing_check(model)
        torcheck.add_module_nan_check(model)
        torcheck.add_module_inf_check(model)

    def step(self) -> None:
        """Nothing: it wraps `optimizer.step` itself."""

    def end(self) -> None:
        """Nothing: it raises."""


TOOLS = {"torch-audit": Audit, "torchmortem": Mortem, "torcheck": Check}


def _attach(tool: type) -> None:
    make, backward = torch.optim.Optimizer.__init__, torch.Tensor.backward

    def made(self: torch.optim.Optimizer, *args: Any, **kwargs: Any) -> None:
        make(self, *args, **kwargs)
        model = _model_of(self)
        if model is None:
            return
        try:
            ATTACHED.append(tool(model, self))
        except Exception as error:
            print(f"{tool.__name__} could not be attached: {error}", file=sys.stderr)

    def kept(self: torch.Tensor, *args: Any, **kwargs: Any) -> None:
        LAST["loss"] = self.detach() if self.numel() == 1 else None
        backward(self, *args, **kwargs)

    def told(optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        for one in ATTACHED:
            one.step()

    torch.optim.Optimizer.__init__ = made  # type: ignore[method-assign]
    torch.Tensor.backward = kept  # type: ignore[method-assign, assignment]
    register_optimizer_step_post_hook(told)


def main(name: str, out: Path, script: Path) -> int:
    """Run the script; returns 0 if it came to its end or the tool stopped it."""
    _attach(TOOLS[name])
    sys.argv = [str(script)]
    sys.path[0] = str(script.parent)
    code = 0
    try:
        runpy.run_path(str(script), run_name="__main__")
    except SystemExit as end:
        code = int(end.code or 0)
    except Exception as error:
        if name != "torcheck":
            raise
        _say("torcheck", "error", str(error))
    for one in ATTACHED:
        one.end()
    out.write_text(json.dumps(SAID, indent=1), encoding="utf-8")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2]).resolve(), Path(sys.argv[3]).resolve()))
