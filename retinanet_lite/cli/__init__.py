"""The command line, a file a command; `main.py` puts them together."""
