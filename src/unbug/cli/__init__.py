"""The command line: one file for each command, loaded when it is needed."""

from unbug.cli.main import build_parser, main

__all__ = ["build_parser", "main"]
