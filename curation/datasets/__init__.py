"""Dataset versions: frozen, compared, traced."""
