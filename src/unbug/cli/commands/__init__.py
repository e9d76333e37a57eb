"""Each module is a command: `arguments(parser)` declares it, `run(options)` does it and gives the exit code."""
