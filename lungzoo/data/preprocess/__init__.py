"""What is done to a slice before it is augmented.

`source.py` reads a dataset's slices through the steps that a config names and takes predictions back; the steps are
`lungs.py` and `grid.py` (which part of a slice, at which spacing) and `clahe.py`. `grey.py` turns raw values into
numbers in [0, 1].
"""
