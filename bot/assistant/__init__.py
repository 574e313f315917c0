"""Errata as the assistant itself: what it owes whom, the model that it asks, and how it tells the answer."""
