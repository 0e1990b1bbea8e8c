"""The command line, a file a command; `options` has what several take, `main` is the start."""
