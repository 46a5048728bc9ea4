import json

import numpy as np

from lungzoo.suites.plain import plain


def test_what_json_has_no_word_for_is_none_at_any_depth():
    values = {"a": float("nan"), "b": [1.5, (float("inf"), {"c": np.float64("-inf")})], "d": "nan", "e": 2, "f": True}
    assert plain(values) == {"a": None, "b": [1.5, [None, {"c": None}]], "d": "nan", "e": 2, "f": True}
    assert json.loads(json.dumps(plain(values), allow_nan=False)) == plain(values)
