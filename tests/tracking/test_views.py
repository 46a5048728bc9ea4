"""Links and saved views of MLflow's list of runs."""

import base64
import json
import zlib

from lungzoo.tracking.views import runs_link, saved_views


def test_a_link_is_a_filter_and_an_order():
    assert runs_link("this arm", "7", "tags.arm = 'a / b (c)'", charts=True) == (
        "[this arm](#/experiments/7/runs?searchFilter=tags.arm+=+%27a+/+b+%28c%29%27"
        "&orderByKey=metrics.%60val/best_dice%60&compareRunsMode=CHART)"
    )


def test_views_are_what_mlflow_reads():
    views = {key: json.loads(value) for key, value in saved_views().items()}
    assert {key.removeprefix("mlflow.sharedViewState.lungzoo-") for key in views} == {
        "arms", "runs", "transfer", "baseline", "failed"
    }  # fmt: skip
    arms = views["mlflow.sharedViewState.lungzoo-arms"]
    state = json.loads(zlib.decompress(base64.b64decode(arms["state"].removeprefix("deflate;"))))
    assert arms["name"] == "Arms, with intervals"
    assert state["searchFilter"] == "tags.lungzoo.kind = 'arm'"
    assert state["columnOrder"][1:] == state["selectedColumns"]
    assert max(map(len, saved_views().values())) < 5000  # the longest tag of an experiment
