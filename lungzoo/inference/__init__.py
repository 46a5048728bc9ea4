"""A trained model on a scan: volume in, mask out, on the source's own grid.

`inputs/` reads a scan, `predictor.py` runs a model over its slices, `tta.py` and `ensemble.py` average several passes,
`postprocess.py` and `components.py` clean the mask, `lesions.py` measures it, `formats/` writes it; `predict.py` joins
them.
"""
