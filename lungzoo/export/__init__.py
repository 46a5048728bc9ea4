"""A model with its weights as a file that others read without lungzoo.

`formats/` has a file for each kind of file, `examples.py` the slices that are shown to it, `agreement.py` compares its
answers with the model's own, `sheet.py` says how slices become its input; `export.py` joins them.
"""
