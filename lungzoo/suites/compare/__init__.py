"""Two runs, arms or suites against each other: what may be compared, the difference, and whether it holds up."""
