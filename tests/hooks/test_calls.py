"""What the hub tells, for each kind of loop, and what it keeps to itself."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

from tests.hooks.listening import Told
from unbug.errors import InternalError
from unbug.hooks import Hub


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(6, 4, generator=generator), torch.randint(3, (6,), generator=generator)


def test_a_plain_loop_is_told_in_order(told: Told, hub: Hub) -> None:
    hub.watch_modules = False
    model, (x, y) = net(), batch()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    told.calls.clear()
    for _ in range(2):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.5)
        optimizer.step()
        scheduler.step()
    step = ["zero_grad", "root_forward", "root_output", "loss_call", "backward_begin", "backward_end", "clip",
            "step_begin", "step_end", "scheduler_step"]  # fmt: skip
    assert told.names() == step * 2
    assert told.of("root_forward")[0] == ("Sequential", [(6, 4)], {})
    assert told.of("root_output")[0] == ("Sequential", (6, 3))
    assert told.of("backward_begin")[0] == ([()], None)
    assert told.of("backward_end") == [(False,), (False,)]
    assert told.of("clip")[0] == ("norm", 1.5, (), None)
    assert told.of("zero_grad")[0] == told.of("step_begin")[0] == told.of("step_end")[0] == ("SGD",)


def test_frames_are_the_users_lines(told: Told, hub: Hub) -> None:
    model, (x, y) = net(), batch()
    told.frames.clear()
    loss = nn.CrossEntropyLoss()(model(x), y)
    loss.backward()
    torch.nn.utils.clip_grad_value_(model.parameters(), 1.0)
    torch.autograd.grad(model(x).sum(), list(model.parameters()))
    optimizer = torch.optim.LBFGS(model.parameters())
    first = test_frames_are_the_users_lines.__code__.co_firstlineno
    assert optimizer is not None
    assert [(frame.file, frame.line - first, frame.function) for frame in told.frames] == [
        (__file__, line, "test_frames_are_the_users_lines") for line in (3, 4, 5, 6, 7)
    ]


def test_inner_modules_are_told_while_watched(told: Told, hub: Hub) -> None:
    model, (x, _) = net(), batch()
    model(x)
    assert told.names() == ["seeded", "root_forward", *["module_output"] * 3, "root_output"]
    assert [call[0] for call in told.of("module_output")] == ["Linear", "ReLU", "Linear"]
    assert told.of("module_output")[2] == ("Linear", [(6, 8)], (6, 3))
    hub.watch_modules = False
    told.calls.clear()
    model(x)
    assert told.names() == ["root_forward", "root_output"]


def test_forwards_can_be_left_alone(told: Told, hub: Hub) -> None:
    bare = nn.Module.__call__.__code__
    hub.watch_forwards = False
    assert nn.Module.__call__.__code__ is not bare
    assert not any(
        isinstance(constant, type(lambda: 0)) for constant in nn.Module.__call__.__code__.co_consts
    )
    model, (x, _) = net(), batch()
    told.calls.clear()
    model(x)
    assert told.names() == []
    hub.watch_forwards = True
    model(x)
    assert told.names()[0] == "root_forward"


LOSS_CALLS = {
    "cross_entropy": lambda x, y: F.cross_entropy(x, y, label_smoothing=0.1),
    "nll_loss": lambda x, y: F.nll_loss(x.log_softmax(1), y),
    "binary_cross_entropy": lambda x, y: F.binary_cross_entropy(x.sigmoid(), torch.zeros_like(x)),
    "binary_cross_entropy_with_logits": lambda x, y: F.binary_cross_entropy_with_logits(
        x, torch.zeros_like(x)
    ),
    "mse_loss": lambda x, y: F.mse_loss(x, x * 2),
    "l1_loss": lambda x, y: F.l1_loss(x, x * 2),
    "smooth_l1_loss": lambda x, y: F.smooth_l1_loss(x, x * 2, beta=0.0),  # calls l1_loss
    "huber_loss": lambda x, y: F.huber_loss(x, x * 2),
    "kl_div": lambda x, y: F.kl_div(x.log_softmax(1), x.softmax(1), reduction="batchmean"),
    "poisson_nll_loss": lambda x, y: F.poisson_nll_loss(x, x * 2),
    "gaussian_nll_loss": lambda x, y: F.gaussian_nll_loss(x, x * 2, x.exp()),
    "hinge_embedding_loss": lambda x, y: F.hinge_embedding_loss(x, torch.ones_like(x)),
    "margin_ranking_loss": lambda x, y: F.margin_ranking_loss(x, x * 2, torch.ones_like(x)),
    "multi_margin_loss": lambda x, y: F.multi_margin_loss(x, y),
    "multilabel_margin_loss": lambda x, y: F.multilabel_margin_loss(x, torch.zeros_like(x, dtype=torch.long)),
    "multilabel_soft_margin_loss": lambda x, y: F.multilabel_soft_margin_loss(x, torch.ones_like(x)),
    "soft_margin_loss": lambda x, y: F.soft_margin_loss(x, torch.ones_like(x)),
    "cosine_embedding_loss": lambda x, y: F.cosine_embedding_loss(x, x * 2, torch.ones(len(x))),
    "triplet_margin_loss": lambda x, y: F.triplet_margin_loss(x, x * 2, x * 3),
    "ctc_loss": lambda x, y: F.ctc_loss(
        x[:, None].log_softmax(2), torch.tensor([[1, 2]]), torch.tensor([6]), torch.tensor([2])
    ),
}


@pytest.mark.parametrize("name", LOSS_CALLS)
def test_each_loss_is_told_once_with_its_arguments_and_value(name: str, told: Told, hub: Hub) -> None:
    x, y = batch()
    x = x[:, :3]
    value = LOSS_CALLS[name](x, y)
    ((function, arguments, seen),) = (call[0] for call in told.of("loss_call"))
    assert function == name
    assert seen == value.item()
    assert "reduction" in arguments
    assert arguments[{"ctc_loss": "log_probs"}.get(name, next(iter(arguments)))] is not None


def test_every_loss_of_the_brief_is_tapped(hub: Hub) -> None:
    rows = {row.name: row for row in hub.patches()}
    for name in LOSS_CALLS:
        assert rows[f"torch.nn.functional.{name}"].installed
    missing = {name for name, row in rows.items() if not row.installed}
    assert missing == {"numpy.random.seed"}
    assert all(row.guard and row.undo and row.what for row in rows.values())


def test_the_old_reduction_arguments_are_told_as_what_they_mean(told: Told, hub: Hub) -> None:
    x, y = batch()
    with pytest.warns(UserWarning, match="size_average"):
        F.cross_entropy(x, y, size_average=False)
    assert told.of("loss_call")[0][0][1]["reduction"] == "sum"


def test_a_name_imported_before_the_hub_is_seen(told: Told, hub: Hub) -> None:
    mse_loss(torch.zeros(2), torch.ones(2))
    assert [call[0][0] for call in told.of("loss_call")] == ["mse_loss"]


mse_loss = F.mse_loss


@pytest.mark.parametrize("reentrant", [True, False])
def test_recomputation_counts_neither_as_forward_nor_as_backward(
    reentrant: bool, told: Told, hub: Hub
) -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = net()

        def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return checkpoint(lambda x: F.cross_entropy(self.inner(x), y), x, use_reentrant=reentrant)

    model, (x, y) = Model(), batch()
    told.calls.clear()
    model(x.requires_grad_(), y).backward()
    outer = checkpoint(model, x, y, use_reentrant=reentrant)
    outer.backward()
    assert told.names() == [
        "root_forward", *["module_output"] * 4, "loss_call", "root_output", "backward_begin", "backward_end",
    ] * 2  # fmt: skip


def test_backward_in_a_backward_is_one(told: Told, hub: Hub) -> None:
    class Twice(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
            return x * 2

        @staticmethod
        def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
            with torch.enable_grad():
                y = torch.ones(1, requires_grad=True)
                (y * 2).backward()
                torch.autograd.grad((y * 3).sum(), y)
            return gradient * 2

    Twice.apply(torch.ones(1, requires_grad=True)).backward()
    assert told.names() == ["backward_begin", "backward_end"]


def test_autograd_grad_is_told_when_it_returned(told: Told, hub: Hub) -> None:
    x = torch.ones(2, requires_grad=True)
    torch.autograd.grad([x.sum(), (x * x).sum()], [x])
    with pytest.raises(RuntimeError):
        torch.autograd.grad(torch.ones(1), [x])
    assert told.of("autograd_grad") == [([(), ()], None)]


def test_what_raises_is_told_as_such_and_leaves_no_trace(told: Told, hub: Hub) -> None:
    model, (x, y) = net(), batch()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    told.calls.clear()
    for _ in range(2):
        with pytest.raises(RuntimeError):
            model(x[:, :2])
        with pytest.raises(RuntimeError):
            F.cross_entropy(x, y.float())
        with pytest.raises(RuntimeError):
            torch.autograd.backward(x)
        with pytest.raises(ZeroDivisionError):
            optimizer.step(lambda: 1 / 0)
    once = ["root_forward", "root_output", "backward_begin", "backward_end", "step_begin", "step_raised"]
    assert told.names() == once * 2
    assert told.of("root_output")[0] == ("Sequential", None)
    assert told.of("backward_end")[0] == (True,)


def test_lbfgs_closures_are_inside_a_step(told: Told, hub: Hub) -> None:
    model, (x, y) = net(), batch()
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=2)
    hub.watch_modules = False
    told.calls.clear()

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        return loss

    optimizer.step(closure)
    evaluation = ["zero_grad", "root_forward", "root_output", "loss_call", "backward_begin", "backward_end"]
    assert told.names() == ["step_begin", *evaluation * 2, "step_end"]


def test_a_scaler_tells_scale_and_skips(told: Told, hub: Hub) -> None:
    model, (x, y) = net(), batch()
    for kind in (torch.optim.SGD, lambda parameters: torch.optim.Adam(parameters, fused=True)):
        optimizer = kind(model.parameters())
        scaler = torch.amp.GradScaler("cpu", init_scale=64.0)
        told.calls.clear()
        for factor in (1.0, float("inf"), 1.0):
            optimizer.zero_grad()
            scaler.scale(F.cross_entropy(model(x), y) * factor).backward()
            scaler.step(optimizer)
            scaler.update()
        assert [call[1:] for call in told.of("scaler_step")] == [(64.0, False), (64.0, True), (32.0, False)]
    off = torch.amp.GradScaler("cpu", enabled=False)
    told.calls.clear()
    off.step(optimizer)
    assert told.names() == ["step_begin", "step_end"]


@pytest.mark.filterwarnings("ignore:The epoch parameter")  # torch 2.6 warns of what it does itself
def test_schedulers_are_told_once_a_step_and_not_by_their_constructors(told: Told, hub: Hub) -> None:
    schedulers = torch.optim.lr_scheduler
    optimizer = torch.optim.SGD(net().parameters(), lr=0.1)
    told.calls.clear()
    made = [
        schedulers.StepLR(optimizer, 1),
        schedulers.SequentialLR(
            optimizer,
            [schedulers.ConstantLR(optimizer), schedulers.ExponentialLR(optimizer, 0.9)],
            milestones=[1],
        ),
        schedulers.ChainedScheduler([schedulers.ConstantLR(optimizer), schedulers.ConstantLR(optimizer)]),
        schedulers.CosineAnnealingWarmRestarts(optimizer, 2),
        schedulers.OneCycleLR(optimizer, 0.1, total_steps=9),
        schedulers.ReduceLROnPlateau(optimizer),
    ]
    assert told.names() == []
    optimizer.step()
    told.calls.clear()
    for scheduler in made:
        scheduler.step(*([1.0] if isinstance(scheduler, schedulers.ReduceLROnPlateau) else []))
    assert told.calls == [("scheduler_step", type(scheduler).__name__) for scheduler in made]


def test_clipping_by_parts_and_by_value(told: Told, hub: Hub) -> None:
    model, (x, y) = net(), batch()
    F.cross_entropy(model(x), y).backward()
    told.calls.clear()
    norm = nn.utils.get_total_norm([p.grad for p in model.parameters() if p.grad is not None])
    nn.utils.clip_grads_with_norm_(model.parameters(), torch.tensor(2.0), norm)
    nn.utils.clip_grad_value_(model.parameters(), 0.5)
    assert told.calls == [("clip", "norm", 2.0, (), None), ("clip", "value", 0.5, None, None)]


def test_zeroing_by_the_module(told: Told, hub: Hub) -> None:
    net().zero_grad()
    assert told.of("zero_grad") == [("Sequential",)]


class Numbers(torch.utils.data.Dataset[int]):
    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> int:
        return index


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # on a machine with one core
@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_told_with_the_wait(workers: int, told: Told, hub: Hub) -> None:
    list(torch.utils.data.DataLoader(Numbers(), num_workers=workers))
    assert told.names() == ["batch_begin", "batch_end"] * 4
    assert {call[0] for call in told.of("batch_begin")} == {"DataLoader"}
    ends = told.of("batch_end")
    assert [call[1] for call in ends] == [(1,), (1,), (1,), None]
    assert all(0 < call[2] < 60 for call in ends)


def test_a_loader_inside_a_dataset_is_part_of_its_wait(told: Told, hub: Hub) -> None:
    class Nested(Numbers):
        def __getitem__(self, index: int) -> int:
            return int(next(iter(torch.utils.data.DataLoader(Numbers()))))

    list(torch.utils.data.DataLoader(Nested()))
    assert told.names() == ["batch_begin", "batch_end"] * 4


def test_a_dataset_that_fails_delivers_nothing(told: Told, hub: Hub) -> None:
    class Broken(Numbers):
        def __getitem__(self, index: int) -> int:
            raise ValueError(index)

    for _ in range(2):
        with pytest.raises(ValueError, match="0"):
            list(torch.utils.data.DataLoader(Broken()))
    assert told.names() == ["batch_begin"] * 2


def test_seeds_and_compilation(told: Told, hub: Hub) -> None:
    import random

    torch.manual_seed(5)
    random.seed(6)
    random.seed("text")
    random.Random(7)
    torch.compile(net(), backend="eager")
    torch.compile(backend="eager")(len)
    model = net()
    told.calls = [call for call in told.calls if call[:2] != ("seeded", "torch") or call[2] == 5]
    model.compile(backend="eager")
    assert told.calls == [
        ("seeded", "torch", 5), ("seeded", "python", 6), ("seeded", "python", None),
        ("compiled", "Sequential"), ("compiled", "len"), ("compiled", "Sequential"),
    ]  # fmt: skip


def test_optimizers_that_live_already_are_told_at_installation(told: Told) -> None:
    optimizer = torch.optim.SGD(net().parameters(), lr=0.1)
    hub = Hub(told)
    hub.install()
    try:
        assert ("optimizer_created", "SGD", None) in told.calls
        told.calls.clear()
        optimizer.zero_grad()
        optimizer.step()
        assert told.names() == ["zero_grad", "step_begin", "step_end"]
    finally:
        hub.remove()


def test_tensors_without_values_are_not_told(told: Told, hub: Hub) -> None:
    class Gives(nn.Module):
        output: Any = 1

        def forward(self, x: Any) -> Any:
            return self.output

    meta = torch.empty(2, device="meta")
    gives = Gives()
    for given in (meta, (meta,), {"a": meta}):
        gives(given)
        gives(x=given)
    F.mse_loss(meta, meta)
    assert told.names() == []
    for gives.output in (meta, [meta], {"a": meta}):
        gives(torch.ones(1))
    assert told.of("root_output") == [("Gives", None)] * 3


def test_threads_have_their_own_depth(told: Told, hub: Hub) -> None:
    class Waits(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            thread = threading.Thread(target=nn.Identity(), args=(x,))
            thread.start()
            thread.join()
            return x

    hub.watch_modules = False
    Waits()(torch.ones(1))
    assert told.names() == ["root_forward", "root_forward", "root_output", "root_output"]
    assert told.of("root_forward")[1][0] == "Identity"


def test_tensors_are_not_kept(hub: Hub) -> None:
    model, (x, y) = net(), batch()
    loss = F.cross_entropy(model(x), y)
    gone = [weakref.ref(loss), weakref.ref(x)]
    loss.backward()
    gc.disable()
    try:
        del loss, x
        assert [ref() for ref in gone] == [None, None]
    finally:
        gc.enable()


def test_generators_are_not_touched(told: Told) -> None:
    def draw() -> list[float]:
        torch.manual_seed(3)
        model, (x, y) = nn.Sequential(nn.Linear(4, 3), nn.Dropout()), batch()
        F.cross_entropy(model(x), y).backward()
        return torch.rand(3).tolist()

    bare = draw()
    hub = Hub(told)
    hub.install()
    try:
        assert draw() == bare
    finally:
        hub.remove()


class Faulty:
    """Fails in one method; counts the calls of all."""

    def __init__(self, method: str, error: BaseException) -> None:
        self.counts: dict[str, int] = {}
        self.faults: list[tuple[str, str]] = []
        self._method, self._error = method, error

    def fault(self, where: str, error: BaseException) -> None:
        assert error.__traceback__ is not None
        self.faults.append((where, str(error)))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)

        def count(*_: Any) -> None:
            self.counts[name] = self.counts.get(name, 0) + 1
            if name == self._method:
                raise self._error

        return count


METHODS = (
    "root_forward", "root_output", "module_output", "loss_call", "backward_begin", "backward_end", "clip",
    "step_begin", "step_end", "zero_grad", "scheduler_step", "batch_begin", "batch_end",
)  # fmt: skip


def loop() -> float:
    model, (x, y) = net(), batch()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    for inputs, targets in torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=2):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(inputs), targets)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
    return loss.item()


@pytest.mark.parametrize("method", METHODS)
def test_a_listener_that_fails_is_reported_once_and_switched_off_there(method: str) -> None:
    bare = loop()
    faulty = Faulty(method, ValueError("a fault"))
    hub = Hub(faulty)
    hub.watch_modules = True
    hub.install()
    try:
        assert loop() == bare
    finally:
        hub.remove()
    assert faulty.faults == [(method, "a fault")]
    assert faulty.counts[method] == 1
    assert all(faulty.counts[other] > 1 for other in METHODS if other != method)


def test_a_listener_that_cannot_hear_of_its_fault_is_switched_off() -> None:
    class Deaf(Faulty):
        def fault(self, where: str, error: BaseException) -> None:
            raise OSError("deaf, too")

    deaf = Deaf("zero_grad", ValueError("x"))
    hub = Hub(deaf)
    hub.install()
    try:
        loop()
    finally:
        hub.remove()
    assert deaf.counts["zero_grad"] == 1
    assert "root_forward" not in deaf.counts


@pytest.mark.parametrize("method", METHODS)
def test_interrupts_pass_and_the_next_loop_is_told_in_full(method: str) -> None:
    interrupted = Faulty(method, KeyboardInterrupt())
    hub = Hub(interrupted)
    hub.watch_modules = True
    hub.install()
    try:
        with pytest.raises(KeyboardInterrupt):
            loop()
        interrupted._method = ""
        interrupted.counts.clear()
        loop()
        control = dict(interrupted.counts)
        interrupted.counts.clear()
        loop()
    finally:
        hub.remove()
    assert interrupted.faults == []
    assert interrupted.counts == control
    assert all(control[name] >= 3 for name in METHODS)


def test_only_one_hub_at_a_time(told: Told, hub: Hub) -> None:
    with pytest.raises(InternalError, match="installed already"):
        Hub(told).install()
    hub.install()  # again: nothing happens
    hub.remove()
    other = Hub(told)
    other.install()
    hub.remove()  # again: does not touch the other
    told.calls.clear()
    F.mse_loss(torch.ones(1), torch.zeros(1))
    other.remove()
    assert told.names() == ["loss_call"]
