"""Why a model marks what it marks, as a map over a slice: what it looks at, what it needs, where it is unsure.

`methods/` holds one file per method, behind `contract.py`; `features.py` cuts a network at a level and takes gradients;
`target.py` says which slice and region; `shown.py` is a slice as a model sees it; `run.py` joins them, and `outputs.py`
and `picture.py` write what came of it.
"""
