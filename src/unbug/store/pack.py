"""`unbug pack`: a run as one file, which every reader opens as it is. `packed` says what such a file is."""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

from unbug.errors import StoreError, UsageError
from unbug.store.access import MAX_LOG, Where, is_folder, listing, open_file, release, root_of
from unbug.store.attempts import ATTEMPTS
from unbug.store.folders import WRITERS
from unbug.store.handles import Handle
from unbug.store.layout import DEFINITIONS, stable_listing
from unbug.store.manifest import MANIFEST, STATUS, manifest_of, replace_patiently
from unbug.store.mediafiles import MEDIA
from unbug.store.packed import SUFFIX
from unbug.store.withheld import without_data

__all__ = ["pack_run", "packed_name"]

_EVENTS = re.compile(r"live-\d{6,9}\.log|e-.*\.seg")
_PIECE = 1 << 20
_TRIES = 20
_EPOCH = (1980, 1, 1, 0, 0, 0)


def pack_run(path: Path, target: Path, *, data: bool = True, replace: bool = False) -> int:
    """Write a run into one file, stored as it is: the same run gives the same bytes. It may be live.

    Args:
        path: Folder of the run, or a packed run.
        target: The file; it appears when it is whole.
        data: Without it, what `withheld` names is left out.
        replace: Whether a file that is there already is replaced.
    Returns:
        The size of the file in bytes.
    Raises:
        NotARunError, NewerFormatError: there is no run.
        UsageError: the file is there already, or is part of the run.
        StoreError: it cannot be written.
    """
    root = root_of(path)
    try:
        manifest_of(root)
        if target.is_dir():
            raise UsageError(f"cannot pack into {target}: it is a folder; give a file with `-o`")
        if target.exists() and not replace:
            raise UsageError(f"{target} is there already; give another file with `-o`, or `--force`")
        if path.is_dir() and path.resolve() in target.resolve().parents:
            raise UsageError(f"cannot pack a run into its own folder {path}; give another place with `-o`")
        temporary = target.with_name(f".{target.name}.{os.getpid()}.{os.urandom(3).hex()}.tmp")
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
            with (
                os.fdopen(os.open(temporary, flags, 0o600), "w+b") as file,
                zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as out,
            ):
                _fill(out, root, data=data)
            replace_patiently(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
        return target.stat().st_size
    except OSError as error:
        raise StoreError(
            f"cannot write {target}: {error.strerror or error}; choose another with `-o`"
        ) from None
    finally:
        release(root)


def _fill(out: zipfile.ZipFile, root: Where, *, data: bool) -> None:
    with ExitStack() as opened:
        for name in (MANIFEST, STATUS):
            _add(out, name, opened.enter_context(closing(open_file(root / name))))
    for folder in (ATTEMPTS, MEDIA) if data else (ATTEMPTS,):
        for name in sorted(_plain_names(root / folder)):
            with closing(open_file(root / folder / name)) as handle:
                _add(out, f"{folder}/{name}", handle)
    for writer in sorted(_folders(root / WRITERS)):
        where = root / WRITERS / writer
        with ExitStack() as opened:
            handles = _open_all(where, opened)
            # Rows come after the definitions they need: the sizes of these are read last.
            sizes = {name: handle.size for name, handle in handles.items() if name != DEFINITIONS}
            for name, handle in sorted(handles.items()):
                target, size = f"{WRITERS}/{writer}/{name}", sizes.get(name, handle.size)
                if data or not _EVENTS.fullmatch(name):
                    _add(out, target, handle, size=size)
                else:
                    content = without_data(handle.read_all(limit=min(size, MAX_LOG)))
                    out.writestr(_about(target), content)


def _open_all(where: Where, opened: ExitStack) -> dict[str, Handle]:
    """Every file of a writer, open: the writer may merge them away meanwhile."""
    for _ in range(_TRIES):
        found: dict[str, Handle] = {}
        try:
            for name in stable_listing(where):
                if not name.startswith(".") and not _is_link(where / name):
                    found[name] = opened.enter_context(closing(open_file(where / name)))
        except FileNotFoundError:
            continue
        return found
    return found


def _plain_names(where: Where) -> Iterator[str]:
    try:
        names = listing(where)
    except OSError:
        return
    for name in names:
        if not name.startswith(".") and not _is_link(where / name) and not is_folder(where / name):
            yield name


def _folders(where: Where) -> Iterator[str]:
    try:
        names = listing(where)
    except OSError:
        return
    for name in names:
        if not _is_link(where / name) and is_folder(where / name):
            yield name


def _is_link(where: Where) -> bool:
    return isinstance(where, Path) and where.is_symlink()


def _about(name: str) -> zipfile.ZipInfo:
    """Header of a member: nothing of the machine, so that the same run gives the same bytes."""
    about = zipfile.ZipInfo(name, _EPOCH)
    about.create_system, about.external_attr = 3, 0o100600 << 16
    return about


def _add(out: zipfile.ZipFile, name: str, handle: Handle, *, size: int | None = None) -> None:
    size = handle.size if size is None else size
    about = _about(name)
    about.file_size = size
    with out.open(about, "w") as member:
        at = 0
        while at < size:
            piece = handle.read(at, min(_PIECE, size - at))
            if not piece:
                break
            member.write(piece)
            at += len(piece)


def packed_name(path: Path) -> str:
    """What a packed run is called where nobody says: as its folder."""
    return f"{path.resolve().name.removesuffix(SUFFIX)}{SUFFIX}"
