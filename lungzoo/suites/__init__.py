"""Suites: a TOML file expanded into runs, carried out, and read back as a table."""
