"""Held-out cases: predicted once, scored per case, summarised with intervals."""
