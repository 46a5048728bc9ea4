"""A recorded run once more, from its own artifacts, and whether it came out the same."""
