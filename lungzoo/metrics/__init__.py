"""Metrics: NumPy and SciPy, distances in mm, and an answer for every empty mask.

- `contract`: the registry of metrics of one case, `MaskPair` (in `pair`) and `measure`; the metrics are in `per_case`,
  what they share in `overlap`, `surface` and `lesions`.
- Over many cases, as counts that add up: `pooled`, `thresholds`, `calibration`.
- Detection: `froc`. Scores and classes: `roc`, `classification`. Several radiologists: `agreement`.
- `streaming`: the Keras metric that watches training. It alone loads Keras, so nothing here imports it.
"""
