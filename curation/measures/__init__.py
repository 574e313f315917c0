"""Figures about a set of examples, and advice."""
