"""Where each setting comes from: flag > `UNBUG_*` > `[tool.unbug]` or `unbug.toml` > default."""

from unbug.settings.resolve import Setting, Settings, resolve
from unbug.settings.values import KNOWN, Known, parse_share, parse_size

__all__ = ["KNOWN", "Known", "Setting", "Settings", "parse_share", "parse_size", "resolve"]
