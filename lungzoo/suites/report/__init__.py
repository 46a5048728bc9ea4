"""Reads the records of a suite and writes its table."""
