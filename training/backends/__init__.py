"""Where a run is carried out: the port, and one adapter for each kind of machine."""
