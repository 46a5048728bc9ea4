"""The report as a page."""

import re
import shutil
import subprocess

import pytest
from PIL import Image

from lungzoo.suites.report.formats.html.page import to_html
from lungzoo.suites.report.report import build_report

from ...conftest import case_table
from ..conftest import DRAWS

BROWSER = next((found for name in ("chromium", "google-chrome") if (found := shutil.which(name))), None)


@pytest.fixture(scope="module")
def page(whole_report):
    return to_html(whole_report)


def test_the_page_needs_nothing_beside_it(page):
    assert set(re.findall(r'(?:src|href)="([^"]{5})', page)) <= {"data:", "#over"} | {
        address[:5] for address in re.findall(r'href="(#[^"]+)"', page)
    }
    assert "http" not in re.sub(r"data:[^\"]*", "", page)
    assert "@import" not in page
    assert "url(" not in page


def test_table_pairs_and_protocol_are_on_the_page(whole_report, page):
    report = whole_report
    for row in report.table.rows:
        assert row.arm in page
        assert f"{row.metrics['dice']['mean']:.3f} [" in page
    for line in (*report.table.protocol, *report.table.remarks):
        assert line in page.replace("&#39;", "'").replace("&lt;", "<")
    assert page.count("<tr><td>imagenet-") + page.count("<tr><td>scratch") >= 3
    assert "<h2>Which differences hold up?</h2>" in page


def test_arms_without_results_are_rows_with_their_reason(study):
    study.finish(study.plan("scratch"), case_table([0.4, 0.5, 0.6]))
    study.plan("imagenet-finetune")
    study.finish(study.plan("imagenet-frozen"), None, status="skipped", reason="no <weights>", val_dice=float("nan"))
    page = to_html(build_report(study.suite, study.tracker, DRAWS))
    assert "skipped: no &lt;weights&gt;" in page
    assert "pending" in page


def test_an_empty_suite_is_a_page_too(study):
    study.plan("scratch")
    assert "No run is finished." in to_html(build_report(study.suite, study.tracker, DRAWS))


def test_overlays_are_shown_with_their_run_and_a_broken_one_is_left_out(study):
    run, broken = study.plan("scratch", 3), study.plan("imagenet-frozen", 3)
    for each in (run, broken):
        study.finish(each, case_table([0.4, 0.5, 0.6]))
    Image.new("RGB", (2000, 100), "red").save(study.tracker.folder / run.fingerprint / "overlays.png")
    (study.tracker.folder / broken.fingerprint / "overlays.png").write_bytes(b"no picture")
    page = to_html(build_report(study.suite, study.tracker, DRAWS))
    assert page.count("data:image/jpeg;base64,") == 1
    assert "unet_mobilenetv2 / scratch, seed 3. Green: reference" in page


@pytest.mark.skipif(BROWSER is None, reason="needs chromium or google-chrome")
def test_a_click_on_a_heading_sorts(page, tmp_path):
    clicks = "<script>document.querySelectorAll('#leaderboard th button')[3].click();{}</script></body>"
    orders = []
    for again in ("", "document.querySelectorAll('#leaderboard th button')[3].click();"):
        file = tmp_path / "page.html"
        file.write_text(page.replace("</body>", clicks.format(again)))
        command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", f"file://{file}"]
        shown = subprocess.run(command, capture_output=True, text=True, timeout=120).stdout
        body = shown[shown.index("<tbody>") : shown.index("</tbody>")]
        orders.append([float(re.findall(r">(0\.\d{3}) \[", row)[0]) for row in body.split("<tr")[1:]])
    assert orders[0] == sorted(orders[0], reverse=True)
    assert orders[1] == sorted(orders[0])
    assert len(set(orders[0])) == 3
