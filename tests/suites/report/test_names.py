"""Short names."""

from lungzoo.suites.report.names import short_names


def test_what_all_arms_share_is_said_once():
    assert short_names(["u / scratch", "u / frozen"]) == ({"u / scratch": "scratch", "u / frozen": "frozen"}, "u")
    assert short_names(["u / scratch", "f / scratch"]) == ({"u / scratch": "u", "f / scratch": "f"}, "scratch")
    assert short_names(["u / a", "f / b"]) == ({"u / a": "u / a", "f / b": "f / b"}, "")


def test_a_single_arm_keeps_its_name():
    assert short_names(["u / scratch"]) == ({"u / scratch": "u / scratch"}, "")
    assert short_names([]) == ({}, "")
