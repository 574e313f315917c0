"""Measuring models, in a process of its own."""
