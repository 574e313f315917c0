"""The check of a file or a dataset, in one pass over very many rows."""
