"""Weights files and what is known of them: names, values, manifests, and where published ones are found.

A weights file holds arrays by name and nothing else, so opening one runs no code; what model they belong to is said
by the manifest beside it.
"""
