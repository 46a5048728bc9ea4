"""What is done to a model's answer, chosen on validation cases, and what each step gains on test cases.

`held_out.py` says which cases may be read, `units.py` reads them as scans, `kept.py` runs the models over them once and
keeps what could be lesion; `grid.py` tries every combination of steps on that and chooses, `gains.py` compares steps
with the plain pass, `tuned.py` writes weights that carry the choice; `run.py` joins them.
"""
