"""Where something is in the user's program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Place", "PlaceKind"]

PlaceKind = Literal["module", "parameter", "buffer", "data", "loss", "optimizer", "loop", "process"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A module or parameter by dotted path, or one of `data`, `loss`, `optimizer`, `loop`.

    Args:
        path: As the user wrote it, wrappers stripped. Two call sites share the path `loss` and differ in
            `source`; (path, source, training) is the identity.
        class_name: Qualified class name of a module, e.g. `torch.nn.modules.linear.Linear`; empty else.
        shape: Shape of a parameter; empty else.
        source: `(file, line)` of a call site or of the module's class, or None.
        parent: Path of the enclosing module, or None.
        aliases: Further paths of the same object (tied parameters).
        order: Position in network order (first forward, else registration), from 0; -1 if unknown.
    """

    path: str
    kind: PlaceKind
    training: int = -1
    class_name: str = ""
    shape: tuple[int, ...] = ()
    dtype: str = ""
    source: tuple[str, int] | None = None
    parent: str | None = None
    aliases: tuple[str, ...] = ()
    order: int = -1
