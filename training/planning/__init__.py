"""What a run would take and whether to make it, before anything is spent."""
