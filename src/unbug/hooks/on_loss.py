"""Losses of `torch.nn.functional` are called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from unbug.hooks.contract import LossCall
from unbug.hooks.frames import user_frame
from unbug.hooks.shims import blocked, has_values, in_backward
from unbug.hooks.spec import ALL, Spec
from unbug.hooks.tap import RAISED
from unbug.hooks.telling import Teller

__all__ = ["LOSSES", "loss_taps"]

_grad_enabled = torch.is_grad_enabled

LOSSES = (
    "cross_entropy", "nll_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits", "mse_loss",
    "l1_loss", "smooth_l1_loss", "huber_loss", "kl_div", "poisson_nll_loss", "gaussian_nll_loss",
    "hinge_embedding_loss", "margin_ranking_loss", "multi_margin_loss", "multilabel_margin_loss",
    "multilabel_soft_margin_loss", "soft_margin_loss", "cosine_embedding_loss", "triplet_margin_loss",
    "ctc_loss",
)  # fmt: skip


def loss_taps(teller: Teller) -> list[Spec]:
    """One for each loss. Loss modules end there, and some losses call others: the outermost call is told."""
    here = teller.here

    def enter() -> int | None:
        if teller.dozing and _grad_enabled():
            return None
        depth = here.loss
        here.loss = depth + 1
        return depth

    def named(function: str) -> Callable[[tuple[str, ...]], Callable[..., None]]:
        def make(names: tuple[str, ...]) -> Callable[..., None]:
            def leave(depth: int | None, value: Any, *parameters: Any) -> None:
                if depth is None:
                    return
                here.loss = depth
                if depth or value is RAISED or here.busy or in_backward() or blocked():
                    return
                tensors = [value, *(item for item in parameters if isinstance(item, torch.Tensor))]
                if not all(map(has_values, tensors)):
                    return
                arguments = dict(zip(names, parameters, strict=True))
                teller.tell("loss_call", LossCall(function, arguments, value, user_frame(2)))

            return leave

        return make

    return [
        Spec(
            name=f"torch.nn.functional.{loss}",
            what="outermost loss calls: arguments and value",
            guard="tracing, transforms, backward, tensors without values (fake, meta, wrappers)",
            enter=enter,
            leave_names=ALL,
            make_leave=named(loss),
        )
        for loss in LOSSES
    ]
