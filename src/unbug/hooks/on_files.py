"""States are written to files, read from files, put into models and optimizers: checkpoints.

Trainer, Lightning, Accelerate and `save_pretrained` write several files by calling others of these: the
outermost call is told, with all paths and states that were met inside of it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from time import perf_counter
from typing import Any

from unbug.hooks.logs import FileCall, LogListener, PutCall, inside
from unbug.hooks.on_states import Action, Scope, put_tap, raised_now
from unbug.hooks.spec import Spec
from unbug.hooks.tap import RAISED

__all__ = ["file_families"]

_GUARD = "calls inside another one of these"


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


def _path(file: Any) -> str | None:
    """A path, or that of an open file."""
    named = file if isinstance(file, (str, os.PathLike)) else getattr(file, "name", None)
    if isinstance(named, os.PathLike):
        named = os.fspath(named)
    return named if isinstance(named, str) and named else None


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

    def enter() -> Scope | None:
        if inside.files is not None:
            return None
        scope = Scope(action, by)
        inside.files = scope
        return scope

    def leave(scope: Scope | None, value: Any, *parameters: Any) -> None:
        outer: Scope | None = inside.files
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
        _tell(to, scope, raised_now() if raised else None)

    return Spec(name=name, what=what, guard=_GUARD, enter=enter, leave=leave, leave_names=names)


def _tell(to: LogListener, scope: Scope, error: BaseException | None) -> None:
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
        put_tap(to, "torch.nn.Module.load_state_dict", "model"),
        put_tap(to, "torch.optim.Optimizer.load_state_dict", "optimizer"),
    ]  # fmt: skip


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
        outer: Scope | None = inside.files
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
