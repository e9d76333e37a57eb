"""Read the media of a run. A file is named by its content's hash, and is handed out only if that holds."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

from unbug.errors import StoreError, UsageError
from unbug.store.access import MAX_LOG, open_file
from unbug.store.mediafiles import MEDIA, SUFFIXES
from unbug.types import Phase

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from unbug.store.access import Where
    from unbug.store.reader import RunReader

__all__ = ["MediaItem", "media_items"]

_FILE = re.compile(rf"[0-9a-f]{{64}}\.({'|'.join(SUFFIXES)})")
_TYPES = {"png": "image/png", "wav": "audio/wav"}
_PNG_COLORS = {0: 1, 2: 3, 6: 4}


@dataclass(frozen=True, kw_only=True)
class MediaItem:
    """One picture, text, sound, table, histogram or figure of a run.

    Args:
        kind: `image`, `text`, `audio`, `table`, `histogram` or `figure`.
        index: Place in its batch.
        fields: What is known of it: caption, size, limits, rows, …
    """

    name: str
    kind: str
    training: int = -1
    step: int = -1
    phase: Phase = Phase.OTHER
    user_step: float | None = None
    time_ns: int = 0
    index: int = 0
    rank: int = 0
    attempt: int = 0
    file: str = ""
    size_bytes: int = 0
    fields: Mapping[str, Any] = field(default_factory=dict)
    root: Where | None = field(default=None, repr=False, compare=False)

    @property
    def caption(self) -> str:
        """What the program said of it."""
        return str(self.fields.get("caption", ""))

    @property
    def suffix(self) -> str:
        """Kind of file: `png`, `txt`, `json` or `wav`; empty for a name that no run has."""
        return self.file.rpartition(".")[2] if _FILE.fullmatch(self.file) else ""

    @property
    def kept(self) -> bool:
        """Whether its file is still there: old ones are thinned above the disk budget."""
        try:
            self._open().close()
        except (OSError, StoreError):
            return False
        return True

    def data(self) -> bytes:
        """The file's bytes.

        Raises:
            StoreError: it was thinned out, or is not what was written.
        """
        try:
            handle = self._open()
            try:
                data: bytes = handle.read_all(limit=MAX_LOG)
            finally:
                handle.close()
        except OSError as error:
            raise StoreError(
                f"{self.kind} {self.name!r} of step {self.step} is not there any more: {error.strerror}; "
                "old media are thinned out above the disk budget"
            ) from None
        if hashlib.sha256(data).hexdigest() != self.file.partition(".")[0]:
            raise StoreError(
                f"{self.kind} {self.name!r} of step {self.step} is damaged: {self.file} has changed"
            )
        return data

    def text(self) -> str:
        """A text, or the JSON of a table, histogram or plotly figure."""
        self._must("txt", "json")
        return self.data().decode("utf-8", "replace")

    def json(self) -> Any:
        """A table as columns, a histogram as counts and edges, a plotly figure as plotly has it."""
        self._must("json")
        return json.loads(self.data())

    def array(self) -> NDArray[Any]:
        """An image as `(height, width, channels)` of bytes, a sound as `(samples, channels)` in [-1, 1]."""
        if self.suffix == "wav":
            return _samples(self.data())
        if self.kind != "image":
            raise UsageError(f"{self.name!r} is a {self.kind}, which is no array; `.data()` gives its file")
        return _pixels(self.data())

    def _must(self, *suffixes: str) -> None:
        if self.suffix not in suffixes:
            raise UsageError(
                f"{self.name!r} is a {self.kind}, kept as .{self.suffix}; `.data()` gives its file"
            )

    def _open(self) -> Any:
        if not self.suffix or self.root is None:
            raise StoreError(f"{self.file!r} is no file of a run")
        return open_file(self.root / MEDIA / self.file)

    def _repr_html_(self) -> str:
        """A notebook shows pictures and plays sounds; all else is text."""
        told = f"{escape(self.name)}, step {self.step}{', ' + escape(self.caption) if self.caption else ''}"
        try:
            if self.suffix in _TYPES:
                source = f"data:{_TYPES[self.suffix]};base64,{base64.b64encode(self.data()).decode()}"
                if self.suffix == "wav":
                    shown = f'<audio controls src="{source}"></audio>'
                else:
                    shown = f'<img src="{source}" alt="{told}" style="max-width:100%">'
                return f"<figure>{shown}<figcaption>{told}</figcaption></figure>"
            return f"<p>{told}</p><pre>{escape(self.text()[:2000])}</pre>"
        except (StoreError, UsageError) as error:
            return f"<p>{told}: {escape(str(error))}</p>"


def media_items(
    reader: RunReader, *, name: str | None = None, kind: str | None = None, training: int | None = None
) -> Iterator[MediaItem]:
    """What a run kept beside numbers, in order of time; also what was thinned out since (`kept` tells)."""
    for event in reader.events("media", training=training):
        given = event.fields
        file, called, of = given.get("file"), given.get("name"), given.get("kind")
        if not (isinstance(file, str) and isinstance(called, str) and isinstance(of, str)):
            continue
        if (name is not None and called != name) or (kind is not None and of != kind):
            continue
        user_step = given.get("user_step")
        yield MediaItem(
            name=called,
            kind=of,
            training=event.training,
            step=event.step,
            phase=event.phase,
            user_step=float(user_step) if isinstance(user_step, int | float) else None,
            time_ns=event.t_ns + (reader.run.created_ns - reader.run.anchor_ns),
            index=_whole(given.get("index")),
            rank=event.rank,
            attempt=event.attempt,
            file=file,
            size_bytes=_whole(given.get("size_bytes")),
            fields={key: value for key, value in given.items() if key not in _OWN},
            root=reader.root,
        )


_OWN = frozenset(("name", "kind", "file", "index", "size_bytes", "user_step"))


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _samples(data: bytes) -> NDArray[np.float64]:
    import wave

    import numpy as np

    try:
        with wave.open(io.BytesIO(data)) as file:
            channels = file.getnchannels()
            raw = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        raise StoreError(f"it is no sound that unbug writes: {error}") from None
    return np.frombuffer(raw, "<i2").reshape(-1, channels) / 32767.0


def _pixels(data: bytes) -> NDArray[np.uint8]:
    """Decode what `run.log` encodes: 8 bits, rows stored as they are or as differences to the row above."""
    import numpy as np

    try:
        width, height, depth, color = struct.unpack_from(">IIBB", data, 16)
        channels, at, packed = _PNG_COLORS[color], 8, []
        while at < len(data):
            length, kind = struct.unpack_from(">I4s", data, at)
            if kind == b"IDAT":
                packed.append(data[at + 8 : at + 8 + length])
            at += 12 + length
        size = height * (1 + width * channels)
        plain = zlib.decompressobj().decompress(b"".join(packed), size)
        rows = np.frombuffer(plain, np.uint8).reshape(height, 1 + width * channels)
    except (struct.error, KeyError, zlib.error, ValueError) as error:
        raise StoreError(f"it is no picture that unbug writes: {error}") from None
    if depth != 8 or not np.isin(rows[:, 0], (0, 2)).all():
        raise StoreError("it is no picture that unbug writes; open its file with another library")
    out = np.array(rows[:, 1:])
    for row in np.flatnonzero(rows[:, 0] == 2):
        if row:
            out[row] += out[row - 1]
    return out.reshape(height, width, channels)
