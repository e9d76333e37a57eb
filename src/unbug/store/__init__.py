"""Run folders: append-only, read while written, whole after a kill."""

from unbug.store.contract import Curve, GroupKind, Points, Reader, Writer

__all__ = ["Curve", "GroupKind", "Points", "Reader", "Writer"]
