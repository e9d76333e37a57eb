"""How a run stands, in words."""

from __future__ import annotations

from unbug.types import Bilingual, RunState, Status

__all__ = ["state_told"]

_STATES = {
    RunState.RUNNING: Bilingual("running", "运行中"),
    RunState.FINISHED: Bilingual("finished", "已完成"),
    RunState.FAILED: Bilingual("failed", "失败"),
    RunState.INTERRUPTED: Bilingual("interrupted", "被中断"),
    RunState.KILLED: Bilingual("killed", "被终止"),
    RunState.LOST: Bilingual("lost: no sign of life", "失联：没有活动迹象"),
}


def state_told(status: Status) -> Bilingual:
    """The state, and the exit code of a program that failed."""
    told = _STATES[status.state]
    if status.exit_code:
        told += Bilingual(f", exit code {status.exit_code}", f"，退出码 {status.exit_code}")
    return told
