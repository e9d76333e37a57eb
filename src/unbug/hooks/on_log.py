"""Numbers, images, texts are logged by TensorBoard, W&B, MLflow, Trackio; by Lightning, Trainer, Accelerate.

The last three pass what they are given to the first four: what they pass on is told once, as theirs. What the
program's own code logs meanwhile, in a callback of its, is told as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from unbug.hooks.frames import user_frame
from unbug.hooks.logs import LogListener, asked_by_user, inside
from unbug.hooks.spec import Spec
from unbug.hooks.tap import RAISED

__all__ = ["log_families"]

_GUARD = "what another logger passes on"
_MEDIA = {
    "add_histogram": "histogram", "add_histogram_raw": "histogram", "add_image": "image",
    "add_images": "image", "add_image_with_boxes": "image", "add_figure": "figure", "add_video": "video",
    "add_audio": "audio", "add_text": "text", "add_embedding": "embedding", "add_pr_curve": "curve",
    "add_pr_curve_raw": "curve", "add_mesh": "mesh",
}  # fmt: skip


def log_families(to: LogListener) -> dict[str, Callable[[], Sequence[Spec]]]:
    """By module, what is tapped in it."""
    return {
        "torch.utils.tensorboard.writer": partial(_tensorboard, to, "torch.utils.tensorboard.writer"),
        "tensorboardX.writer": partial(_tensorboard, to, "tensorboardX.writer"),
        "wandb.sdk.wandb_run": partial(_wandb, to),
        "mlflow.tracking._tracking_service.client": partial(_mlflow, to),
        "trackio.run": partial(_trackio, to),
        **{module: partial(_lightning, to, module) for module in _LIGHTNING},
        "lightning.fabric.fabric": partial(_fabric, to),
        "transformers.trainer": partial(_trainer, to),
        "accelerate.accelerator": partial(_accelerate, to),
    }


def _passed_on() -> bool:
    """Whether a logger that has been told of passes this on."""
    return inside.log > 0 and asked_by_user() is None


def _tensorboard(to: LogListener, module: str) -> list[Spec]:
    writer, number = f"{module}.SummaryWriter", to.number("tensorboard")

    def scalar(token: Any, value: Any, tag: Any, scalar_value: Any, global_step: Any) -> None:
        if value is not RAISED and not (inside.log and _passed_on()):
            number(tag, scalar_value, global_step)

    def scalars(token: Any, value: Any, main_tag: Any, tag_scalar_dict: Any, global_step: Any) -> None:
        if value is not RAISED and not _passed_on():
            named = {f"{main_tag}/{tag}": one for tag, one in dict(tag_scalar_dict).items()}
            to.numbers("tensorboard", named, global_step, read=True)

    def medium(kind: str) -> Callable[..., None]:
        def leave(token: Any, value: Any, tag: Any, global_step: Any) -> None:
            if value is not RAISED and not _passed_on():
                to.media("tensorboard", kind, tag, global_step)

        return leave

    return [
        Spec(
            name=f"{writer}.add_scalar",
            what="scalars given to TensorBoard",
            guard=_GUARD,
            leave=scalar,
            leave_names=("tag", "scalar_value", "global_step"),
        ),
        Spec(
            name=f"{writer}.add_scalars",
            what="scalars given to TensorBoard",
            guard=_GUARD,
            leave=scalars,
            leave_names=("main_tag", "tag_scalar_dict", "global_step"),
        ),
        *(
            Spec(
                name=f"{writer}.{method}",
                what=f"that TensorBoard was given a {kind}",
                guard=_GUARD,
                leave=medium(kind),
                leave_names=("tag", "global_step"),
            )
            for method, kind in _MEDIA.items()
        ),
    ]


def _wandb(to: LogListener) -> list[Spec]:
    def enter(self: Any, step: Any) -> Any:
        return step if step is not None else getattr(self, "_local_step", None)

    def leave(step: Any, value: Any, data: Any) -> None:
        if value is not RAISED and isinstance(data, Mapping) and not _passed_on():
            to.numbers("wandb", data, step, read=True)

    return [
        Spec(
            name="wandb.sdk.wandb_run.Run.log",
            what="what is logged to W&B",
            guard=_GUARD,
            enter=enter,
            leave=leave,
            enter_names=("self", "step"),
            leave_names=("data",),
        )
    ]


def _mlflow(to: LogListener) -> list[Spec]:
    client = "mlflow.tracking._tracking_service.client.TrackingServiceClient"
    number = to.number("mlflow")

    def metric(token: Any, value: Any, key: Any, given: Any, step: Any) -> None:
        if value is not RAISED and not _passed_on():
            number(key, given, step)

    def batch(token: Any, value: Any, metrics: Any, params: Any) -> None:
        if value is RAISED:
            return
        if params:
            given = {one.key: one.value for one in params}
            to.settings("mlflow", given, adds=True, frame=user_frame(2))
        if not metrics or _passed_on():
            return
        by_step: dict[Any, dict[str, Any]] = {}
        for one in metrics:
            by_step.setdefault(one.step, {})[one.key] = one.value
        for step, values in by_step.items():
            to.numbers("mlflow", values, step, read=True)

    def artifact(token: Any, value: Any, local_path: Any, artifact_path: Any) -> None:
        if value is not RAISED and not _passed_on():
            folder = f"{artifact_path}/" if isinstance(artifact_path, str) else ""
            name = str(local_path).replace("\\", "/").rpartition("/")[2]
            to.media("mlflow", "artifact", folder + name, None)

    return [
        Spec(
            name=f"{client}.log_metric",
            what="metrics logged to MLflow",
            guard=_GUARD,
            leave=metric,
            leave_names=("key", "value", "step"),
        ),
        Spec(
            name=f"{client}.log_batch",
            what="metrics and parameters logged to MLflow",
            guard=_GUARD,
            leave=batch,
            leave_names=("metrics", "params"),
        ),
        Spec(
            name=f"{client}.log_artifact",
            what="that MLflow was given a file",
            guard=_GUARD,
            leave=artifact,
            leave_names=("local_path", "artifact_path"),
        ),
    ]


def _trackio(to: LogListener) -> list[Spec]:
    def leave(token: Any, value: Any, metrics: Any, step: Any) -> None:
        if value is not RAISED and isinstance(metrics, Mapping) and not _passed_on():
            to.numbers("trackio", metrics, step, read=True)

    return [
        Spec(
            name="trackio.run.Run.log",
            what="what is logged to Trackio",
            guard=_GUARD,
            leave=leave,
            leave_names=("metrics", "step"),
        )
    ]


# Loggers that pass on: the outermost call is told.
_LIGHTNING = (
    "lightning.pytorch.trainer.connectors.logger_connector.logger_connector",
    "pytorch_lightning.trainer.connectors.logger_connector.logger_connector",
)
Tell = Callable[..., None]


def _passing_on(name: str, what: str, tell: Tell, names: tuple[str, ...]) -> Spec:
    """A tap that counts how deep it is, and tells of outermost calls that raised nothing."""

    def enter() -> int:
        depth = inside.log
        inside.log = depth + 1
        return depth

    def leave(depth: int | None, value: Any, *parameters: Any) -> None:
        if depth is None:
            return
        inside.log = depth
        if value is not RAISED and (depth == 0 or asked_by_user() is not None):
            tell(*parameters)

    return Spec(name=name, what=what, guard=_GUARD, enter=enter, leave=leave, leave_names=names)


def _lightning(to: LogListener, module: str) -> list[Spec]:
    def tell(self: Any, metrics: Any, step: Any) -> None:
        if isinstance(metrics, Mapping):
            to.numbers("lightning", metrics, step, read=bool(self.trainer.loggers))

    what, names = "metrics that Lightning logs", ("self", "metrics", "step")
    return [_passing_on(f"{module}._LoggerConnector.log_metrics", what, tell, names)]


def _fabric(to: LogListener) -> list[Spec]:
    def tell(metrics: Any, step: Any) -> None:
        if isinstance(metrics, Mapping):
            to.numbers("lightning", metrics, step, read=True)

    name = "lightning.fabric.fabric.Fabric.log_dict"
    return [_passing_on(name, "metrics that Fabric logs", tell, ("metrics", "step"))]


def _trainer(to: LogListener) -> list[Spec]:
    def tell(self: Any, logs: Any) -> None:
        if isinstance(logs, Mapping):
            to.numbers("transformers", logs, self.state.global_step, read=True)

    name = "transformers.trainer.Trainer.log"
    return [_passing_on(name, "what Trainer logs", tell, ("self", "logs"))]


def _accelerate(to: LogListener) -> list[Spec]:
    def tell(self: Any, values: Any, step: Any) -> None:
        if isinstance(values, Mapping):
            to.numbers("accelerate", values, step, read=bool(self.trackers))

    name = "accelerate.accelerator.Accelerator.log"
    return [_passing_on(name, "what Accelerate logs", tell, ("self", "values", "step"))]
