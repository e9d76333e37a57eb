"""`unbug completion SHELL`: the script that makes a shell complete `unbug`."""

from __future__ import annotations

import argparse

from unbug.cli.options import add_directory

__all__ = ["arguments", "run"]

_EPILOG = """\
  bash   unbug completion bash > ~/.local/share/bash-completion/completions/unbug
  zsh    unbug completion zsh > ~/.zfunc/_unbug        (with ~/.zfunc in fpath)
  tcsh   unbug completion tcsh > ~/.unbug.tcsh         (source it in ~/.tcshrc)
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = _EPILOG
    parser.add_argument("shell", metavar="SHELL", choices=("bash", "zsh", "tcsh"), help="bash, zsh or tcsh")
    add_directory(parser)


def run(options: argparse.Namespace) -> int:
    """Print the script."""
    import shtab

    from unbug.cli.main import build_parser

    print(shtab.complete(build_parser(), shell=options.shell))
    return 0
