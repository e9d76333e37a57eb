"""What is said of a fault class where an edit says nothing else: place, further right classes, operator."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Operator:
    """How a class of faults is made, and what else is a right answer to it."""

    does: str
    where: str
    accept: tuple[str, ...] = ()


def _of(does: str, where: str, *accept: str) -> Operator:
    return Operator(does=does, where=where, accept=accept)


OPERATORS = {
    "lr-too-high": _of("raise the learning rate", "optimizer", "exploding-gradient", "dead-relu"),
    "lr-too-low": _of("lower the learning rate", "optimizer"),
    "lr-schedule": _of("change the schedule", "optimizer (scheduler)", "lr-too-low"),
    "momentum-too-high": _of("raise the momentum", "optimizer"),
    "weight-decay-too-strong": _of("raise the weight decay", "optimizer"),
    "grad-clip-too-tight": _of("lower the clipping threshold", "optimizer (clip_grad_norm_)", "lr-too-low"),
    "grad-accum-unscaled": _of("drop the division by the number of micro-batches", "loop"),
    "loss-reduction": _of("sum in place of mean", "loss"),
    "optimizer-state-reset": _of("build the optimizer again in the loop", "optimizer"),
    "vanishing-gradient": _of("exchange the activation or deepen the stack", "model", "saturated-activation"),
    "exploding-gradient": _of("raise a recurrent or residual gain", "model", "bad-init", "lr-too-high"),
    "dead-relu": _of("push the pre-activations below zero", "model", "bad-init"),
    "saturated-activation": _of("scale the input of a bounded activation", "model", "vanishing-gradient"),
    "bad-init": _of("exchange the initial weights", "model", "vanishing-gradient"),
    "low-precision": _of("lower the precision", "model"),
    "numeric-unsafe-op": _of("drop the guard of an operation", "loss"),
    "nan-masked": _of("hide non-finite values", "loss", "numeric-unsafe-op"),
    "missing-zero-grad": _of("delete zero_grad", "loop"),
    "zero-grad-misplaced": _of("move zero_grad", "loop", "missing-optimizer-step"),
    "missing-optimizer-step": _of("delete or skip the step", "loop"),
    "params-not-in-optimizer": _of("give the optimizer too few parameters", "optimizer"),
    "unregistered-parameter": _of("hide a module in a plain container", "model", "params-not-in-optimizer"),
    "detached-graph": _of("cut the graph", "model", "frozen-by-mistake"),
    "frozen-by-mistake": _of("switch requires_grad off", "model"),
    "eval-mode-training": _of("train in eval mode", "loop"),
    "train-mode-eval": _of("evaluate in train mode", "loop"),
    "repeated-batch": _of("take the same samples again", "data"),
    "exhausted-iterator": _of("build the iterator once", "data"),
    "ema-not-updated": _of("leave out the update of the averaged or target network", "loop"),
    "memory-leak": _of("keep graphs or tensors alive", "loop"),
    "nondeterminism": _of("draw from an unseeded source", "loop"),
    "dataloader-bottleneck": _of("slow the loading of data", "data"),
    "weights-not-loaded": _of("break the keys of a checkpoint", "model"),
    "softmax-before-ce": _of("put a softmax before the cross-entropy", "loss"),
    "double-sigmoid": _of("apply the sigmoid twice", "loss"),
    "wrong-loss": _of("exchange the loss", "loss"),
    "loss-broadcast": _of("change a shape at the loss", "loss"),
    "padding-in-loss": _of("count the padding in the loss", "loss"),
    "loss-term-imbalance": _of("change the weight of a loss term", "loss"),
    "output-activation-mismatch": _of("exchange the output activation", "model"),
    "metric-bug": _of("compute the metric otherwise", "loop"),
    "unnormalized-input": _of("drop the scaling of the inputs", "data"),
    "unnormalized-target": _of("drop the scaling of the targets", "data"),
    "nonfinite-data": _of("put NaN or inf into the data", "data"),
    "misaligned-labels": _of("give rows the labels of others", "data", "label-noise"),
    "label-noise": _of("draw labels at random", "data"),
    "degenerate-input": _of("strip the inputs of information", "data"),
    "target-leak": _of("put the target among the features", "data"),
    "train-test-leak": _of("share rows between training and evaluation", "data"),
    "train-test-skew": _of("prepare the evaluation inputs otherwise", "data"),
    "class-imbalance": _of("make one class rare", "data"),
    "unshuffled-data": _of("order the rows by class", "data"),
    "dropout-too-strong": _of("raise the dropout rate", "model"),
    "batchnorm-misuse": _of("change how batch normalisation keeps statistics", "model"),
    "wrong-dim": _of("exchange a dimension", "model"),
    "shape-mixup": _of("reshape in place of transpose", "model"),
    "missing-nonlinearity": _of("delete the activations", "model"),
    "causal-mask-leak": _of("open the causal mask", "model", "target-leak"),
    "missing-positional-encoding": _of("leave out the positions", "model"),
    "tied-weights-broken": _of("separate shared weights", "model"),
    "accidental-weight-sharing": _of("share separate weights", "model"),
    "overfitting": _of("shrink the data and grow the model", "data"),
    "underfitting": _of("shrink the model", "model"),
}
