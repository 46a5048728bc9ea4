"""Who trains and who is tested: parts, folds, groups of near-duplicates, and the audit of leaks."""
