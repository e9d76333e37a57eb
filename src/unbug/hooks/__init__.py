"""Launcher, patches and hooks on a live torch process: one stream of calls. Nothing else patches torch."""

from unbug.hooks.contract import Frame, Listener, LossCall

__all__ = ["Frame", "Listener", "LossCall"]
