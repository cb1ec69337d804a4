"""The command line: arguments to one stage, words to the terminal, an exit code."""
