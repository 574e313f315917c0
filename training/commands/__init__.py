"""The command line of training, and what only a terminal needs."""
