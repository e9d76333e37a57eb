"""Each module is a command: `arguments(parser)` declares it, `run(options)` returns the exit code."""
