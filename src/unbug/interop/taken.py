"""What the program logs, sets and saves by other libraries: listened to, and written under its own origin."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

from unbug.hooks import Frame, Late, library_taps
from unbug.interop.checkpoints import Checkpoints
from unbug.interop.media import Media, kind_of
from unbug.interop.numbers import Numbers
from unbug.interop.settings import Hyperparameters

if TYPE_CHECKING:
    from unbug.store import Writer

__all__ = ["Interop"]


class Interop:
    """Watches other libraries in this process, from `install` until `remove`.

    Args:
        writer: Takes rows and events; redacts names and texts.
        position: Training, step, micro and phase now.
        fault: Told once of each part that failed; it is off from then on.
    """

    def __init__(
        self,
        writer: Writer,
        position: Callable[[], tuple[int, int, int, int]],
        fault: Callable[[str, BaseException], None],
    ) -> None:
        self._writer, self._position = writer, position
        self._media = Media(lambda fields: self._event("logged", fields))
        self._settings = Hyperparameters(lambda fields: self._event("hyperparameters", fields))
        self._checkpoints = Checkpoints(lambda fields: self._event("checkpoint", fields))
        self._numbers = Numbers(writer, position, self._other)
        self.number, self.media = self._numbers.of, self._media.add
        self.numbers = self._numbers.many
        self.file, self.put = self._checkpoints.file, self._checkpoints.put
        self._late = Late(library_taps(self), fault=fault)
        self._closed = False

    def install(self) -> None:
        """Watch what is loaded now and later. Idempotent."""
        self._late.install()

    def remove(self) -> None:
        """Undo everything. Idempotent."""
        self._late.remove()

    def close(self) -> None:
        """Undo everything, write what waited. Idempotent."""
        self.remove()
        if not self._closed:
            self._closed = True
            self._media.close()
            self._settings.close()
            self._checkpoints.close()

    def coverage(self) -> list[str]:
        """What could not be seen, in words."""
        told = [
            f"{one.name}: {one.reason}" for one in self._late.patches() if not one.installed and one.reason
        ]
        unseen = [line for line in told if not line.endswith(": removed")]
        if self._numbers.dropped:
            unseen.append(f"{self._numbers.dropped} numbers of names beyond the first 5,000 that were logged")
        if self._numbers.unread:
            unseen.append(f"{self._numbers.unread} logged numbers that lay on a device and that nobody read")
        if self._media.dropped:
            unseen.append(f"{self._media.dropped} images, texts or the like of names beyond the first 500")
        return unseen

    # What the taps tell.
    def settings(
        self,
        origin: str,
        given: Any,
        *,
        name: str = "",
        defaults: Mapping[str, Any] | None = None,
        adds: bool = False,
        frame: Frame | None = None,
    ) -> None:
        """See `hooks.LogListener`."""
        self._settings.add(origin, given, name=name, defaults=defaults, adds=adds, frame=frame)

    def _other(self, origin: str, name: str, value: Any, user_step: Any) -> None:
        self._media.add(origin, kind_of(value), name, user_step)

    def _event(self, kind: str, fields: Mapping[str, Any]) -> None:
        training, step, micro, phase = self._position()
        self._writer.event(
            kind, fields, t_ns=monotonic_ns(), training=training, step=step, micro=micro, phase=phase
        )
