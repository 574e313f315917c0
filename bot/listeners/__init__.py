"""One module per story. A listener translates, calls one use case, renders, and acks last."""
