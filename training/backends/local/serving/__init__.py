"""Serving models: an engine that lets replies grow together, and the process around it."""
