"""Screening: what a reviewer is warned of."""
