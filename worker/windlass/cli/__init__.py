"""The command line: parse, build, call. `windlass.cli.main` is where it starts."""
