"""Where finished runs live: the record of a run, and the tracker that keeps it."""
