"""Pickled pandas frames of arrays, read without running anything that the file asks for."""
