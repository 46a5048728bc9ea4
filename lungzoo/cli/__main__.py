"""`python -m lungzoo.cli`."""

from lungzoo.cli import main

main()
