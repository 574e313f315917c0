"""Curation's commands, a module for each story. ``curation.cli`` mounts them."""
