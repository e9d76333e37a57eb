"""The private parts of torch work, and a loss of one is noticed."""

from __future__ import annotations

import pytest
import torch

from unbug.hooks import self_test, shims


def test_every_private_part_works_here() -> None:
    checks = self_test()
    assert len(checks) >= 7
    assert [check.name for check in checks if not check.ok] == []
    assert {check.says for check in checks} == {"works"}


@pytest.mark.parametrize(
    ("name", "broken", "noticed"),
    [
        ("_interpreter", lambda: None, "torch._C._functorch.peek_interpreter_stack"),
        ("_graph_task", lambda: -1, "torch._C._current_graph_task_id"),
        ("_dispatch_modes", lambda: 0, "torch._C._len_torch_dispatch_stack"),
        ("_tracing_state", lambda: "tracing", "torch._C._get_tracing_state"),
        ("_no_functions", shims.contextlib.nullcontext, "torch._C.DisableTorchFunction"),
    ],
)
def test_a_part_that_is_gone_is_named(
    name: str, broken: object, noticed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shims, name, broken)
    failed = [check for check in self_test() if not check.ok]
    assert noticed in [check.name for check in failed]
    assert all("is missing or changed" in check.says and check.without in check.says for check in failed)


def test_the_self_test_leaves_no_trace() -> None:
    before = torch.get_rng_state()
    with torch.no_grad():
        self_test()
        assert not torch.is_grad_enabled()
    assert torch.equal(before, torch.get_rng_state())
