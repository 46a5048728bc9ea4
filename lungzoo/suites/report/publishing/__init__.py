"""Finished suites as files that anyone can check without the tracking store: writing, reading back, pages."""
