"""Formats of files: what each looks like, how it is recognised, read, judged and written."""
