"""Pure Block Kit builders: summaries in, blocks and views out. Nothing here reads or sends anything."""
