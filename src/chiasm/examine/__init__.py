"""A model over a dataset into a run folder; every lost point sorted by kind."""
