"""Tokens: counters per model family, exact or a labelled estimate."""
