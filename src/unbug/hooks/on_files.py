"""States are written to files, read from files, put into models and optimizers: checkpoints.

Trainer, Lightning, Accelerate and `save_pretrained` write several files by calling others of these: the
outermost call is told, with all paths and states that were met inside of it.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Sequence
from functools import partial
from time import perf_counter
from typing import Any, Literal

from unbug.hooks.logs import FileCall, LogListener, PutCall, inside
from unbug.hooks.spec import Spec
from unbug.hooks.tap import RAISED

__all__ = ["file_families"]

Action = Literal["saved", "loaded"]
_GUARD = "calls inside another one of these"
_MOST_STATES = 64
_MISSING = re.compile(r"Missing key\(s\) in state_dict: (.*?)\. ?(?=\n|$)", re.DOTALL)
_UNEXPECTED = re.compile(r"Unexpected key\(s\) in state_dict: (.*?)\. ?(?=\n|$)", re.DOTALL)
_MISMATCHED = re.compile(
    r"size mismatch for (.+?): copying a param with shape (.+?) from checkpoint, "
    r"the shape in current model is (.+?)\.(?=\n|$)"
)


def file_families(to: LogListener) -> dict[str, Callable[[], Sequence[Spec]]]:
    """By module, what is tapped in it."""
    return {
        "torch": partial(_torch, to),
        "torch.distributed.checkpoint.state_dict_saver": partial(_distributed, to, "saver", "save", "saved"),
        "torch.distributed.checkpoint.state_dict_loader": partial(
            _distributed, to, "loader", "load", "loaded"
        ),
        "safetensors.torch": partial(_safetensors, to),
        "transformers.modeling_utils": partial(_pretrained, to),
        "transformers.trainer": partial(_trainer, to),
        "accelerate.accelerator": partial(_accelerate, to),
        "lightning.pytorch.trainer.trainer": partial(_lightning, to, "lightning.pytorch"),
        "pytorch_lightning.trainer.trainer": partial(_lightning, to, "pytorch_lightning"),
    }


class _Scope:
    """One outermost call, and what was met inside of it."""

    __slots__ = ("action", "begun", "by", "inner", "into", "misfits", "path", "states")

    def __init__(self, action: Action | None, by: str) -> None:
        self.action, self.by = action, by
        self.begun = perf_counter()
        self.path: str | None = None
        self.inner: list[str] = []
        self.states: list[Any] = []
        self.misfits: tuple[Any, Any, Any] | None = None
        self.into = ""

    def met(self, path: str | None, state: Any) -> None:
        """A call inside of this one wrote or read a state; None for what is not known."""
        if path is not None and len(self.inner) < _MOST_STATES:
            self.inner.append(path)
        if state is not None and len(self.states) < _MOST_STATES:
            self.states.append(state)

    def fits(self, into: str, misfits: tuple[Any, Any, Any]) -> None:
        """A model inside of this call took a state; what did not fit is kept."""
        if self.misfits is None or any(misfits):
            self.into, self.misfits = into, misfits


def _path(file: Any) -> str | None:
    """A path, or that of an open file."""
    named = file if isinstance(file, (str, os.PathLike)) else getattr(file, "name", None)
    if isinstance(named, os.PathLike):
        named = os.fspath(named)
    return named if isinstance(named, str) and named else None


def _error() -> BaseException | None:
    return sys.exc_info()[1]


def _file(
    to: LogListener,
    name: str,
    what: str,
    *,
    action: Action,
    by: str,
    names: tuple[str, ...],
    found: Callable[..., tuple[Any, Any]],
) -> Spec:
    """A tap of a function that writes or reads: `found` gives file and state from value and parameters."""

    def enter() -> _Scope | None:
        if inside.files is not None:
            return None
        scope = _Scope(action, by)
        inside.files = scope
        return scope

    def leave(scope: _Scope | None, value: Any, *parameters: Any) -> None:
        outer: _Scope | None = inside.files
        if scope is not None:
            inside.files = None
        if outer is None or outer.action != action:
            return
        raised = value is RAISED
        file, state = found(None if raised else value, *parameters)
        if scope is None:
            outer.met(_path(file), None if raised else state)
            return
        scope.path = _path(file)
        if state is not None and not raised:
            scope.states.append(state)
        _tell(to, scope, _error() if raised else None)

    return Spec(name=name, what=what, guard=_GUARD, enter=enter, leave=leave, leave_names=names)


def _tell(to: LogListener, scope: _Scope, error: BaseException | None) -> None:
    assert scope.action is not None
    seconds = perf_counter() - scope.begun
    states, scope.states = tuple(scope.states), []
    to.file(
        FileCall(
            action=scope.action,
            by=scope.by,
            path=scope.path,
            inner=tuple(scope.inner),
            states=states,
            seconds=seconds,
            error=error,
        )
    )
    if scope.misfits is not None:
        missing, unexpected, mismatched = scope.misfits
        to.put(
            PutCall(
                what="model",
                into=scope.into,
                by=scope.by,
                state=None,
                path=scope.path,
                missing=missing,
                unexpected=unexpected,
                mismatched=mismatched,
                seconds=seconds,
            )
        )


def _torch(to: LogListener) -> list[Spec]:
    return [
        _file(
            to, "torch.serialization.save", "states written", action="saved", by="torch",
            names=("obj", "f"), found=lambda value, obj, f: (f, obj),
        ),
        _file(
            to, "torch.serialization.load", "states read", action="loaded", by="torch",
            names=("f",), found=lambda value, f: (f, value),
        ),
        _put(to, "torch.nn.Module.load_state_dict", "model"),
        _put(to, "torch.optim.Optimizer.load_state_dict", "optimizer"),
    ]  # fmt: skip


def _put(to: LogListener, name: str, what: Literal["model", "optimizer"]) -> Spec:
    def enter() -> _Scope | None:
        if inside.files is not None:
            return None
        scope = _Scope(None, "torch")
        inside.files = scope
        return scope

    def leave(scope: _Scope | None, value: Any, self: Any, state_dict: Any) -> None:
        outer: _Scope | None = inside.files
        if outer is None:
            return
        error = _error() if value is RAISED else None
        misfits = missing, unexpected, mismatched = _misfits(value, error)
        if scope is None:
            if outer.action is not None and missing is not None:
                outer.fits(type(self).__name__, misfits)
            return
        inside.files = None
        to.put(
            PutCall(
                what=what,
                into=type(self).__name__,
                by="torch",
                state=state_dict,
                missing=missing,
                unexpected=unexpected,
                mismatched=mismatched,
                seconds=perf_counter() - scope.begun,
                error=error,
            )
        )

    return Spec(
        name=name,
        what=f"states put into a {what}",
        guard=_GUARD,
        enter=enter,
        leave=leave,
        leave_names=("self", "state_dict"),
    )


def _misfits(value: Any, error: BaseException | None) -> tuple[Any, Any, Any]:
    """Missing, unexpected and mismatched names, from what was returned or from what the error says."""
    if error is None:
        missing, unexpected = (getattr(value, f"{one}_keys", None) for one in ("missing", "unexpected"))
        if missing is None or unexpected is None:
            return None, None, None
        return tuple(map(str, missing)), tuple(map(str, unexpected)), ()
    if type(error) is not RuntimeError:
        return None, None, None
    text = str(error)
    shapes = [found.groups() for found in _MISMATCHED.finditer(text)]
    lists = [found for found in (_MISSING.search(text), _UNEXPECTED.search(text)) if found]
    if not shapes and not lists:
        return None, None, None
    return _named(_MISSING, text), _named(_UNEXPECTED, text), tuple(shapes)


def _named(pattern: re.Pattern[str], text: str) -> tuple[str, ...]:
    found = pattern.search(text)
    return () if found is None else tuple(re.findall(r'"(.*?)"', found[1]))


def _distributed(to: LogListener, end: str, function: str, action: Action) -> list[Spec]:
    name = f"torch.distributed.checkpoint.state_dict_{end}.{function}"
    return [
        _file(
            to, name, "distributed checkpoints", action=action, by="torch",
            names=("state_dict", "checkpoint_id"),
            found=lambda value, state_dict, checkpoint_id: (checkpoint_id, state_dict),
        )
    ]  # fmt: skip


def _safetensors(to: LogListener) -> list[Spec]:
    def saving(function: str, *names: str, found: Callable[..., Any]) -> Spec:
        return _file(
            to, f"safetensors.torch.{function}", "states written", action="saved", by="safetensors",
            names=names, found=found,
        )  # fmt: skip

    def loading(function: str, *names: str, found: Callable[..., Any]) -> Spec:
        return _file(
            to, f"safetensors.torch.{function}", "states read", action="loaded", by="safetensors",
            names=names, found=found,
        )  # fmt: skip

    return [
        saving(
            "save_file", "tensors", "filename", found=lambda value, tensors, filename: (filename, tensors)
        ),
        saving("save_model", "filename", found=lambda value, filename: (filename, None)),
        loading("load_file", "filename", found=lambda value, filename: (filename, value)),
        loading("load_model", "filename", found=lambda value, filename: (filename, None)),
    ]


def _pretrained(to: LogListener) -> list[Spec]:
    base = "transformers.modeling_utils.PreTrainedModel"

    def misfits(token: Any, value: Any, model: Any) -> None:
        """What did not fit: `from_pretrained` fills it with new weights and goes on."""
        outer: _Scope | None = inside.files
        if value is RAISED or outer is None:
            return
        missing = tuple(sorted(map(str, value.missing_keys)))
        unexpected = tuple(sorted(map(str, value.unexpected_keys)))
        mismatched = tuple(tuple(map(str, one)) for one in sorted(value.mismatched_keys, key=str))
        outer.fits(type(model).__name__, (missing, unexpected, mismatched))

    return [
        _file(
            to, f"{base}.save_pretrained", "models saved by Transformers", action="saved", by="transformers",
            names=("save_directory",), found=lambda value, folder: (folder, None),
        ),
        _file(
            to, f"{base}.from_pretrained", "models loaded by Transformers", action="loaded",
            by="transformers", names=("pretrained_model_name_or_path",),
            found=lambda value, folder: (folder, value),
        ),
        Spec(
            name=f"{base}._finalize_model_loading",
            what="what did not fit a pretrained model",
            guard="none",
            leave=misfits,
            leave_names=("model",),
        ),
    ]  # fmt: skip


def _trainer(to: LogListener) -> list[Spec]:
    trainer = "transformers.trainer.Trainer"
    return [
        _file(
            to, f"{trainer}._save_checkpoint", "checkpoints of Trainer", action="saved", by="transformers",
            names=(), found=lambda value: (None, None),
        ),
        _file(
            to, f"{trainer}._load_from_checkpoint", "checkpoints that Trainer loads", action="loaded",
            by="transformers", names=("resume_from_checkpoint",), found=lambda value, folder: (folder, None),
        ),
    ]  # fmt: skip


def _accelerate(to: LogListener) -> list[Spec]:
    accelerator = "accelerate.accelerator.Accelerator"
    return [
        _file(
            to, f"{accelerator}.save_state", "states saved by Accelerate", action="saved", by="accelerate",
            names=("output_dir",), found=lambda value, folder: (folder, None),
        ),
        _file(
            to, f"{accelerator}.load_state", "states loaded by Accelerate", action="loaded", by="accelerate",
            names=("input_dir",), found=lambda value, folder: (folder, None),
        ),
    ]  # fmt: skip


def _lightning(to: LogListener, package: str) -> list[Spec]:
    return [
        _file(
            to, f"{package}.trainer.trainer.Trainer.save_checkpoint", "checkpoints of Lightning",
            action="saved", by="lightning", names=("filepath",),
            found=lambda value, filepath: (filepath, None),
        )
    ]  # fmt: skip
