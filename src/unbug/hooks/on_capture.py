"""CUDA graphs are captured: what is called meanwhile is written down, not done; so nothing is told.

A call of the driver that is not allowed then (to ask for an event, to take pinned memory) would make the
capture fail, and work that is queued would be replayed with the program's ever after.
"""

from __future__ import annotations

from typing import Any

from unbug.hooks.spec import Spec
from unbug.hooks.tap import RAISED
from unbug.hooks.telling import Teller

__all__ = ["capture_taps"]


def capture_taps(teller: Teller) -> list[Spec]:
    """Begin and end of a capture, in the thread that makes it; `torch.cuda.graph` comes by here too."""
    here = teller.here

    def enter_begin() -> None:
        here.capturing += 1
        here.busy = True

    def leave_begin(token: Any, value: Any) -> None:
        if value is RAISED:
            ended()

    def leave_end(token: Any, value: Any) -> None:
        ended()

    def ended() -> None:
        here.capturing = max(here.capturing - 1, 0)
        here.busy = here.capturing > 0

    at = "torch.cuda.graphs.CUDAGraph"
    return [
        Spec(
            name=f"{at}.capture_begin",
            what="a CUDA graph is captured: silence in this thread",
            guard="none",
            enter=enter_begin,
            leave=leave_begin,
        ),
        Spec(
            name=f"{at}.capture_end",
            what="a CUDA graph has been captured: the end of the silence",
            guard="none",
            leave=leave_end,
        ),
    ]
