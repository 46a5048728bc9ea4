"""The command line as a person meets it: text, exit codes, no tracebacks."""

import json
import os
import subprocess
import sys

import pytest


def lungzoo(*arguments: str, cwd=None, **environment: str) -> subprocess.CompletedProcess[str]:
    settings = {**os.environ, "COLUMNS": "120", **environment}
    return subprocess.run(
        [sys.executable, "-m", "lungzoo", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=settings,
        timeout=250,
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli") / "phantom"
    done = lungzoo("data", "phantom", str(folder), "--patients", "12", "--slices", "4", "--size", "64")
    assert done.returncode == 0, done.stderr
    return folder


def test_help_is_fast():
    """Half a second of processor time at most, which a busy machine does not stretch as it does the clock."""
    assert min(_cpu_seconds("--help") for _ in range(3)) < 0.5


def _cpu_seconds(*arguments: str) -> float:
    before = os.times()
    assert lungzoo(*arguments).returncode == 0
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def test_version_is_the_packages():
    from importlib.metadata import version

    assert lungzoo("--version").stdout.strip() == f"lungzoo {version('lungzoo')}"


@pytest.mark.parametrize(
    "kind",
    [
        *("models", "encoders", "decoders", "losses", "metrics", "classifiers", "recipes", "readers", "suites"),
        *("spaces", "best", "formats", "explanations"),
    ],
)
def test_every_listing_has_json(kind):
    rows = json.loads(lungzoo("list", kind, "--json").stdout)
    assert rows
    assert all(row["name"] and row["description"] for row in rows)
    text = lungzoo("list", kind).stdout
    assert all(row["name"] in text for row in rows)


def test_listings_take_a_pattern():
    rows = json.loads(lungzoo("list", "models", "unet_resnet50*", "--json").stdout)
    assert {row["name"] for row in rows} == {"unet_resnet50", "unet_resnet50v2"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("bench", "run", "quik"), "Unknown suite 'quik'. Did you mean 'quick'? See: lungzoo list suites"),
        (("bench", "run", "lidc-transfer-v1"), "Suite 'lidc-transfer-v1' needs a dataset. Give one with --data DIR"),
        (("bench", "run", "quick", "--data", "nowhere"), "No dataset folder at nowhere"),
        (("train", "unet_resnet5O", "--data", "{data}"), "Did you mean 'unet_resnet50'? See: lungzoo list models"),
        (("train", "cnn_scratch", "--data", "{data}", "--set", "train.epoch=2"), "Did you mean 'epochs'?"),
        (("train", "cnn_scratch", "--data", "{data}", "--set", "epochs"), "--set needs KEY=VALUE"),
        (("train", "cnn_scratch", "--data", "{data}", "--set", "train.epochs.x=2"), "'epochs' has no keys"),
        (("train", "cnn_scratch", "--data", "{data}", "--transfer", "imagenet-finetune"), "has no 'imagenet' weights"),
        (("data", "import", "lidc-slice", "a", "b"), "Unknown reader 'lidc-slice'. Did you mean 'lidc-slices'?"),
        (("data", "import", "lidc-slices", "nowhere", "b"), "nowhere"),
        (("data", "show", "nowhere"), "No dataset folder at nowhere. Check the path; make one of your own scans with"),
        (("data", "phantom", "p", "--size", "7"), "size_px: Input should be greater than or equal to 64. Received: 7"),
        (("data", "phantom", "{data}"), "exists already. Choose another name, or delete it first."),
    ],
)
def test_wrong_input_is_one_clear_error(arguments, message, data, tmp_path):
    done = lungzoo(*(argument.format(data=data) for argument in arguments), cwd=tmp_path)
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) <= 3
    assert not [path for path in tmp_path.iterdir() if not path.name.startswith("mlflow")]


def test_a_wrong_option_has_the_exit_code_of_wrong_input():
    assert lungzoo("bench", "run", "quick", "--nonsense").returncode == 2


def test_debug_shows_the_traceback():
    assert "Traceback" in lungzoo("--debug", "bench", "run", "quik").stderr


def test_dry_run_starts_nothing(tmp_path):
    done = lungzoo("bench", "run", "quick", "--dry-run", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "6 run(s) on the built-in phantom; nothing was started."
    assert not list(tmp_path.iterdir())


def test_show_draws_a_contact_sheet(data, tmp_path):
    done = lungzoo("data", "show", str(data), "--sheet", "sheet.png", "--json", cwd=tmp_path)
    assert json.loads(done.stdout)["slices"] == 48
    assert (tmp_path / "sheet.png").read_bytes().startswith(b"\x89PNG")


def test_show_prints_lines_and_tables(data, tmp_path):
    done = lungzoo("data", "show", str(data), "--sheet", "sheet.png", cwd=tmp_path)
    assert done.returncode == 0
    assert "Images         48 slices of 64 × 64 px, units hu" in done.stdout
    assert "Lesion diameter in mm" in done.stdout
    assert "{" not in done.stdout


def test_phantom_prints_one_line(tmp_path):
    done = lungzoo("data", "phantom", "p", "--patients", "3", "--slices", "2", "--size", "64", cwd=tmp_path)
    assert done.stdout == "Made p. Look at it with: lungzoo data show p\n"
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("split", "{data}", "--out", "{tmp}/no/s.json"), "Cannot write the split {tmp}/no/s.json: No such file"),
        (("show", "{data}", "--sheet", "{tmp}/no/x.png"), "Cannot write the contact sheet {tmp}/no/x.png: No such"),
    ],
)
def test_a_file_that_cannot_be_written(arguments, message, data, tmp_path):
    done = lungzoo("data", *(argument.format(data=data, tmp=tmp_path) for argument in arguments))
    assert done.stderr.startswith("Error: " + message.format(tmp=tmp_path))
    assert ("Fingerprint" in done.stdout) == (arguments[0] == "show")
    assert len(done.stderr.splitlines()) == 1
    assert done.returncode == 1


def test_the_list_of_faults(tmp_path):
    for folder in ("images", "mask-0", "mask-1", "mask-2", "mask-3"):
        path = tmp_path / "source" / "P1" / "nodule-1" / folder / "slice-1.png"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"not a picture")
    arguments = ("data", "import", "lidc-slices", "source", "dest", "--faults")
    written = lungzoo(*arguments, "faults.txt", cwd=tmp_path)
    assert "nothing was imported" in written.stderr
    assert "slice-1.png" in (tmp_path / "faults.txt").read_text()
    failed = lungzoo(*arguments, "no/faults.txt", cwd=tmp_path)
    assert failed.stderr.startswith(written.stderr)
    assert "Cannot write the list of faults no/faults.txt: No such file" in failed.stderr[len(written.stderr) :]
    assert (written.returncode, failed.returncode) == (2, 2)
    assert not (tmp_path / "dest").exists()


def test_split_writes_json(data, tmp_path):
    done = lungzoo("data", "split", str(data), "--out", "split.json", "--val", "0.2", "--test", "0.3", cwd=tmp_path)
    assert "patients train 6, val 2, test 4" in done.stdout
    assert len(json.loads((tmp_path / "split.json").read_text())["test"]) == 4


def test_a_split_is_not_replaced_unless_forced(data, tmp_path):
    (tmp_path / "split.json").write_text("mine")
    arguments = ("data", "split", str(data), "--out", "split.json")
    refused = lungzoo(*arguments, cwd=tmp_path)
    assert "split.json exists already. Choose another name with --out, or replace it with --force." in refused.stderr
    assert (refused.returncode, (tmp_path / "split.json").read_text()) == (2, "mine")
    assert lungzoo(*arguments, "--force", cwd=tmp_path).returncode == 0
    assert json.loads((tmp_path / "split.json").read_text())["test"]


def test_defaults_are_shown_in_the_help():
    assert "[default: 0.15]" in lungzoo("data", "split", "--help").stdout
    assert "[default: NAME-sheet.png]" in lungzoo("data", "show", "--help").stdout


@pytest.fixture
def pictures(tmp_path):
    """Three single slices in `source`, one of them without its mask."""
    import numpy as np

    for name in ("images/a", "masks/a", "images/b", "masks/b", "images/c"):
        path = tmp_path / "source" / f"{name}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, np.eye(16, dtype=np.uint8))
    return ("data", "import", "folder", "source")


def test_a_dry_run_refuses_what_the_import_refuses(pictures, tmp_path):
    arguments = (*pictures, "new", "--set", "patients=file")
    done = lungzoo(*arguments, "--dry-run", "--faults", "faults.txt", cwd=tmp_path)
    assert "faulty: 1" in done.stdout
    assert "source: 1 faulty file(s); nothing was imported.\n  images/c.npy: has no mask" in done.stderr
    assert (tmp_path / "faults.txt").read_text() == "images/c.npy: has no mask\n"
    assert done.returncode == lungzoo(*arguments, cwd=tmp_path).returncode == 2
    skipped = lungzoo(*arguments, "--dry-run", "--skip-faulty", cwd=tmp_path)
    assert "Would leave out 1 faulty file(s):\n  images/c.npy: has no mask" in skipped.stderr
    assert skipped.returncode == 0
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("options", [("--dry-run",), ()])
@pytest.mark.parametrize(
    ("dest", "message"),
    [("taken", "taken exists already"), ("source/new", "source/new lies within the source source, which is only read")],
)
def test_where_no_dataset_can_be_made(pictures, tmp_path, dest, message, options):
    (tmp_path / "taken").mkdir()
    done = lungzoo(*pictures, dest, "--set", "patients=file", "--skip-faulty", *options, cwd=tmp_path)
    assert message in done.stderr
    assert done.returncode == 2
    assert not (tmp_path / "source" / "new").exists()


def test_unknown_patients_are_told(pictures, tmp_path):
    done = lungzoo(*pictures, "new", "--set", "patients=file", "--skip-faulty", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    shown = lungzoo("data", "show", "new", cwd=tmp_path)
    assert "no named patients: each of 2 images counts as one" in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "left"),
    [
        (["data", "import", "folder", "a", "b"], "Nothing was imported, and what was half written is removed."),
        (["bench", "run", "quick"], "Run again, without --fresh, to go on from the last checkpoint."),
        (["data", "show", "a"], "Interrupted."),
    ],
)
def test_ctrl_c_says_what_is_left(arguments, left, monkeypatch, capsys):
    import lungzoo.cli as cli

    def interrupted():
        raise SystemExit(130)  # as Typer answers Ctrl-C

    monkeypatch.setattr(cli, "app", interrupted)
    monkeypatch.setattr(cli.signal, "signal", lambda *_: None)
    monkeypatch.setattr(cli, "_set_defaults", lambda: None)
    monkeypatch.setattr(sys, "argv", ["lungzoo", *arguments])
    with pytest.raises(SystemExit) as left_with:
        cli.main()
    assert left_with.value.code == 130
    err = capsys.readouterr().err
    assert err.startswith("Error: Interrupted.")
    assert left in err


def test_typer_answers_ctrl_c_with_130(tmp_path):
    code = (
        "import lungzoo.cli as cli, lungzoo.data.readers as readers, sys\n"
        "def stop(*_): raise KeyboardInterrupt\n"
        "readers.READERS.get = stop\n"
        "sys.argv = ['lungzoo', 'data', 'import', 'folder', 'a', 'b']\n"
        "cli.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert done.returncode == 130
    assert done.stderr == (
        "Error: Interrupted. Nothing was imported, and what was half written is removed. Run again to start over.\n"
    )


def test_report_before_any_run(tmp_path):
    done = lungzoo("bench", "report", "quick", cwd=tmp_path)
    assert done.returncode == 2
    assert "Start one with: lungzoo bench run quick" in done.stderr


def test_an_unwritable_folder(data, tmp_path):
    done = lungzoo("data", "phantom", "/proc/phantom", "--patients", "3")
    assert done.returncode == 1
    assert "Error: Cannot" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_search_space_is_shown_with_its_combinations(tmp_path):
    (tmp_path / "mine.toml").write_text(
        'name = "mine"\ntitle = "Mine"\n[parameters."train.loss"]\nchoices = ["dice", "bce"]\n'
        '[parameters."model.decoder_attention"]\nchoices = ["none", "scse"]\n'
        '[parameters."model.decoder_dropout"]\nlow = 0.0\nhigh = 0.4\nstep = 0.2\n'
        'when = { "model.decoder_attention" = ["scse"] }\n'
    )
    said = lungzoo("tune", "show", str(tmp_path / "mine.toml")).stdout
    assert "8 combinations." in said
    assert "model.decoder_attention is scse" in said


def test_a_dry_run_of_a_search_starts_nothing(tmp_path, phantom):
    done = lungzoo(
        *("tune", "run", "finetune", "--model", "unet_mobilenetv2", "--data", str(phantom.path), "--dry-run"),
        *("--epochs", "9", "--transfer", "imagenet-finetune"),
        *("--set", "data.val_fraction=0.2", "--set", "data.test_fraction=0.3"),
        cwd=tmp_path,
    )
    assert "Hyperband; Li et al. 2018, arXiv:1603.06560: 23 trials a sweep of up to 9 epochs." in done.stdout
    assert list(tmp_path.iterdir()) == []
