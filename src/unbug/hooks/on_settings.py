"""The program is set to something: arguments are parsed, configurations made, hyperparameters handed over."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from unbug.hooks.frames import user_frame
from unbug.hooks.logs import LogListener, asked_by_user, inside
from unbug.hooks.spec import Spec
from unbug.hooks.tap import RAISED

__all__ = ["settings_families"]

_GUARD = "parsers that libraries call"


def settings_families(to: LogListener) -> dict[str, Callable[[], Sequence[Spec]]]:
    """By module, what is tapped in it."""
    return {
        "argparse": partial(_argparse, to),
        "omegaconf.omegaconf": partial(_omegaconf, to),
        "hydra.core.utils": partial(_hydra, to),
        "hydra.compose": partial(_compose, to),
        "transformers.hf_argparser": partial(_dataclasses, to),
        "transformers.trainer": partial(_trainer, to),
        "accelerate.accelerator": partial(_accelerate, to),
        "lightning.pytorch.core.mixins.hparams_mixin": partial(_lightning, to, "lightning.pytorch"),
        "pytorch_lightning.core.mixins.hparams_mixin": partial(_lightning, to, "pytorch_lightning"),
        "torch.utils.tensorboard.writer": partial(_tensorboard, to, "torch.utils.tensorboard.writer"),
        "tensorboardX.writer": partial(_tensorboard, to, "tensorboardX.writer"),
        "wandb.sdk.wandb_run": partial(_wandb, to),
        "mlflow.tracking._tracking_service.client": partial(_mlflow, to),
        "trackio.run": partial(_trackio, to),
    }


def _enter() -> int:
    depth = inside.settings
    inside.settings = depth + 1
    return depth


def _outermost(tell: Callable[..., None]) -> Callable[..., None]:
    """A `leave` that tells of outermost calls that raised nothing."""

    def leave(depth: int | None, value: Any, *parameters: Any) -> None:
        if depth is None:
            return
        inside.settings = depth
        if depth == 0 and value is not RAISED:
            tell(value, *parameters)

    return leave


def _spec(name: str, what: str, tell: Callable[..., None], *names: str) -> Spec:
    leave = _outermost(tell)
    return Spec(name=name, what=what, guard=_GUARD, enter=_enter, leave=leave, leave_names=names)


def _argparse(to: LogListener) -> list[Spec]:
    def tell(value: Any, self: Any) -> None:
        frame = asked_by_user()
        if frame is None:
            return
        defaults = {action.dest: action.default for action in self._actions}
        to.settings("argparse", value[0], name="", defaults=defaults, frame=frame)

    return [_spec("argparse.ArgumentParser.parse_known_args", "the program's arguments", tell, "self")]


def _omegaconf(to: LogListener) -> list[Spec]:
    def tell(value: Any) -> None:
        frame = asked_by_user()
        if frame is not None and type(value).__name__ == "DictConfig":
            to.settings("omegaconf", value, frame=frame)

    return [
        _spec(f"omegaconf.omegaconf.OmegaConf.{method}", "configurations that the program makes", tell)
        for method in ("create", "load", "structured", "merge", "from_cli", "from_dotlist")
    ]


def _own_part(config: Any) -> Any:
    """A Hydra configuration without Hydra's own settings; interpolations as they are written."""
    container = sys.modules["omegaconf"].OmegaConf.to_container(config, resolve=False)
    if isinstance(container, dict):
        container.pop("hydra", None)
    return container


def _hydra(to: LogListener) -> list[Spec]:
    def enter(task_function: Any, config: Any) -> None:
        name = getattr(task_function, "__name__", "")
        to.settings("hydra", _own_part(config), name=name, frame=user_frame(2))

    return [
        Spec(
            name="hydra.core.utils.run_job",
            what="the configuration of a Hydra job",
            guard="none",
            enter=enter,
            enter_names=("task_function", "config"),
        )
    ]


def _compose(to: LogListener) -> list[Spec]:
    def tell(value: Any) -> None:
        to.settings("hydra", _own_part(value), frame=user_frame(2))

    return [_spec("hydra.compose.compose", "a configuration that Hydra composes", tell)]


def _dataclasses(to: LogListener) -> list[Spec]:
    def tell(value: Any) -> None:
        for one in value if isinstance(value, tuple) else (value,):
            if dataclasses.is_dataclass(one):
                to.settings("transformers", one, name=type(one).__name__, frame=user_frame(2))
            elif type(one).__name__ == "Namespace":
                to.settings("transformers", one, frame=user_frame(2))

    parser = "transformers.hf_argparser.HfArgumentParser"
    return [
        _spec(f"{parser}.{method}", "dataclasses that arguments are parsed into", tell)
        for method in ("parse_args_into_dataclasses", "parse_dict", "parse_json_file", "parse_yaml_file")
    ]


def _trainer(to: LogListener) -> list[Spec]:
    def tell(value: Any, self: Any) -> None:
        to.settings("transformers", self.args, name=type(self.args).__name__, frame=user_frame(2))

    return [_spec("transformers.trainer.Trainer.__init__", "Trainer's arguments", tell, "self")]


def _accelerate(to: LogListener) -> list[Spec]:
    def tell(value: Any, config: Any) -> None:
        if config:
            to.settings("accelerate", config, frame=user_frame(2))

    name = "accelerate.accelerator.Accelerator.init_trackers"
    return [_spec(name, "the configuration given to Accelerate's trackers", tell, "config")]


def _lightning(to: LogListener, package: str) -> list[Spec]:
    def tell(value: Any, self: Any) -> None:
        given = getattr(self, "_hparams", None)
        if given:
            to.settings("lightning", given, name=type(self).__name__, frame=user_frame(2))

    name = f"{package}.core.mixins.hparams_mixin.HyperparametersMixin.save_hyperparameters"
    return [_spec(name, "hyperparameters of Lightning's modules", tell, "self")]


def _tensorboard(to: LogListener, module: str) -> list[Spec]:
    def tell(value: Any, hparam_dict: Any) -> None:
        if not inside.log:
            to.settings("tensorboard", hparam_dict, frame=user_frame(2))

    name = f"{module}.SummaryWriter.add_hparams"
    return [_spec(name, "hyperparameters given to TensorBoard", tell, "hparam_dict")]


def _shown(config: Any) -> dict[Any, Any]:
    """A tracker's configuration without its own entries, which begin with `_`."""
    return {key: value for key, value in dict(config).items() if not str(key).startswith("_")}


def _wandb(to: LogListener) -> list[Spec]:
    def tell(value: Any, self: Any) -> None:
        config: Mapping[Any, Any] = getattr(self._config, "_items", {})
        given = _shown(config)
        if given:
            to.settings("wandb", given, frame=user_frame(2))

    what = "the configuration of a W&B run"
    return [
        _spec(f"wandb.sdk.wandb_run.Run.{method}", what, tell, "self")
        for method in ("_init", "_config_callback")
    ]


def _mlflow(to: LogListener) -> list[Spec]:
    def tell(value: Any, key: Any, given: Any) -> None:
        to.settings("mlflow", {key: given}, adds=True, frame=user_frame(2))

    name = "mlflow.tracking._tracking_service.client.TrackingServiceClient.log_param"
    return [_spec(name, "parameters logged to MLflow", tell, "key", "value")]


def _trackio(to: LogListener) -> list[Spec]:
    def tell(value: Any, self: Any) -> None:
        given = _shown(self.config or {})
        if given:
            to.settings("trackio", given, frame=user_frame(2))

    return [_spec("trackio.run.Run.__init__", "the configuration of a Trackio run", tell, "self")]
