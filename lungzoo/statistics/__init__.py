"""Statistics of a comparison: intervals over patients and seeds, paired tests, groups, and what a test set resolves."""
