"""`python -m lungzoo`."""

from lungzoo.cli import main

main()
