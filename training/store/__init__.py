"""Training's records."""
