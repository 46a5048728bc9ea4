"""Metrics: pure NumPy functions per case, and the streaming Keras metric that watches training."""
