"""The verbs of the `ix` command, one module each: `add(parser)` and `run(options)`."""
