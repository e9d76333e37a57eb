"""`unbug tag RUN +tag -tag`: add tags, take tags away."""

from __future__ import annotations

import argparse
import json

from unbug.cli.options import add_directory, add_json, add_run, find
from unbug.errors import UsageError

__all__ = ["arguments", "run"]

_EPILOG = """\
  unbug tag @last +baseline +cifar     add two
  unbug tag @last -cifar               take one away
  unbug tag @last                      list them
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = _EPILOG
    add_run(parser)
    parser.add_argument("tags", metavar="+TAG|-TAG", nargs="*", help="a tag to add, or to take away")
    add_json(parser)
    add_directory(parser)


def run(options: argparse.Namespace) -> int:
    """Change the tags, list them as they are now."""
    for word in options.tags:
        if word[:1] not in ("+", "-") or len(word) < 2:
            raise UsageError(f"cannot tell what to do with {word!r}; `+TAG` adds a tag, `-TAG` takes it away")
    path = find(options)
    from unbug.cli.style import clip
    from unbug.store import open_reader, tag_run

    add = [word[1:] for word in options.tags if word.startswith("+")]
    remove = [word[1:] for word in options.tags if word.startswith("-")]
    if options.tags:
        tags = tag_run(path, add=add, remove=remove).tags
    else:
        reader = open_reader(path)
        tags = reader.run.tags
        reader.close()
    if options.json:
        print(json.dumps(list(tags)))
    else:
        print("\n".join(clip(tag, 1000) for tag in tags) or "no tags")
    return 0
