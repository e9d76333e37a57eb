"""`python -m unbug` and the console command."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line; returns the exit code (table in `unbug.errors.EXIT_CODES`)."""
    from unbug.cli import main as run_command

    return run_command(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
