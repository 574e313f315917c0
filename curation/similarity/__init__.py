"""Texts that say the same, exactly or nearly."""
