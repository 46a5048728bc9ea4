"""Hyperparameter search: every trial is a `run_experiment` with a changed config."""
