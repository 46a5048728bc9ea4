"""Publishes the weights of a finished run: manifest, weights and card, to where people fetch them from."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lungzoo.errors import ConfigError, UsageError, WeightsUnavailable, storage_error
from lungzoo.models.served import LOADER, shapes_of
from lungzoo.suites.sharing.card import model_card, without_front_matter
from lungzoo.suites.sharing.hugging_face import upload
from lungzoo.suites.sharing.limits import found_nothing
from lungzoo.tracking.record import RunRecord
from lungzoo.tracking.summary import Champion
from lungzoo.tracking.tracker import Tracker
from lungzoo.weights.index import CARD, MANIFEST, HubIndex
from lungzoo.weights.manifest import NAME, WeightsManifest, read_manifest, write_manifest
from lungzoo.weights.shelf import shelve
from lungzoo.weights.sources import HUGGING_FACE, hugging_face

MLFLOW = "mlflow"
_LONGEST = 5000  # what MLflow's stores take as a description
_ONE_RUN = (
    "Give a folder that lungzoo tune postprocess made of this one run; what it chose for an ensemble is for all "
    "members together, and is not published."
)
_FROM_MLFLOW = """\
import lungzoo
from mlflow.artifacts import download_artifacts

# of the store that MLFLOW_TRACKING_URI names
model = lungzoo.load(download_artifacts(run_id="{run_id}", artifact_path="weights"))"""


@dataclass(frozen=True)
class Wishes:
    """What a publisher chooses.

    Args:
        name: of the weights; "" derives MODEL-DATASET-vN.
        title: a line for people; "" describes the run.
        licence: of the weights; "" is that of the data.
        force: replace what has the name; without a name, these same weights.
        private: only its owners see a new repository of Hugging Face.
        tuned: folder of `lungzoo tune postprocess` with the run's weights, whose protocol is published; None for that
            of the run, which is all that MLflow takes.
    """

    name: str = ""
    title: str = ""
    licence: str = ""
    force: bool = False
    private: bool = False
    tuned: Path | None = None


@dataclass(frozen=True)
class Publication:
    """Where weights were published.

    Args:
        name: theirs.
        place: in words.
        use: commands that use them from there.
        patients: how many of the dataset the manifest names.
        inherited: how many others it names, from whom what training started from had learnt.
        licence: of the weights; "" where none is stated.
        note: what whoever publishes them should know; "" where there is nothing.
    """

    name: str
    place: str
    use: tuple[str, ...]
    patients: int
    inherited: int
    licence: str
    note: str


def publish(run: str, to: str, wishes: Wishes, tracker: Tracker) -> Publication:
    """Publish the weights of a finished run.

    Args:
        run: its id, or the beginning of it, perhaps after "run:".
        to: a folder; "mlflow"; or "hf:ORG/NAME".
        wishes: what the publisher chooses.
        tracker: the store that has the run.

    Raises:
        UsageError: no such run, or one that is not finished; a name that is taken or none.
        WeightsUnavailable: the run's weights are damaged.
        StorageError: the place does not take them.
        TrackingError: the store does not answer.
    """
    if wishes.name and not re.fullmatch(NAME, wishes.name):
        raise ConfigError(
            f"Weights are named in small letters, digits, dots, dashes and underscores. Received: '{wishes.name}'"
        )
    if (Path(run) / MANIFEST).is_file():
        raise UsageError(f"'{run}' is a folder. Give the id of the run; what was tuned for it goes to --tuned.")
    target = _target(to, wishes)
    run_id = tracker.find_run(run.removeprefix("run:"))
    record = _finished(tracker.run_record(run_id), run_id)
    with tempfile.TemporaryDirectory(prefix="lungzoo-") as scratch:
        weights = tracker.weights(run_id, Path(scratch))
        return target(_Weights(run_id, record, weights, wishes, Path(scratch) / "published"), to, tracker)


class _Weights:
    """The weights of a run, and the files that are published of them."""

    def __init__(self, run_id: str, record: RunRecord, folder: Path, wishes: Wishes, scratch: Path) -> None:
        self.run_id, self.record, self.wishes, self.scratch = run_id, record, wishes, scratch
        self.manifest = read_manifest(folder / "manifest.json")
        self.file = folder / self.manifest.file
        if fault := self.manifest.fault(self.file):
            raise WeightsUnavailable(f"The weights of run '{run_id}' are damaged ({fault}). Nothing was published.")
        if wishes.tuned is not None:
            self.manifest = _with_choice(self.manifest, wishes.tuned)

    @property
    def stem(self) -> str:
        """MODEL-DATASET, in the letters that a name may have."""
        parts = (self.manifest.model.name, str(self.record.dataset["name"]))
        return "-".join(re.sub(r"[^a-z0-9._]+", "_", part.lower()).strip("._") or "x" for part in parts)

    @property
    def facts(self) -> tuple[int, int, str, str]:
        """`Publication.patients`, `inherited`, `licence` and `note`."""
        about = self.manifest.trained_on
        own = {*about.learnt_from, *about.patients.test} if about else set()
        licence = self.wishes.licence or self.manifest.licence
        return len(own), len({*self.manifest.seen} - own), licence, found_nothing(self.record, self.manifest)

    def fill(self, name: str, folder: Path, source: str, hub: str = "", code: str = "") -> None:
        """Write manifest, weights and card into a folder; `source`, `hub` and `code`: see `model_card`."""
        manifest = self._named(name)
        shutil.copyfile(self.file, folder / manifest.file)
        write_manifest(manifest, folder / MANIFEST)
        (folder / CARD).write_text(model_card(manifest, self.record, source, hub, code), encoding="utf-8")

    def _named(self, name: str) -> WeightsManifest:
        changes = {
            "name": name,
            "file": f"{name}.npz",
            "title": self.wishes.title or f"{self.record.title} on {self.record.dataset['title']}",
            "licence": self.wishes.licence or self.manifest.licence,
        }
        return self.manifest.model_copy(update=changes)


def _with_choice(manifest: WeightsManifest, folder: Path) -> WeightsManifest:
    """Return a manifest with the protocol that was tuned for its weights."""
    if not (folder / MANIFEST).is_file():
        raise UsageError(f"{folder} has no {MANIFEST}. {_ONE_RUN}")
    tuned = read_manifest(folder / MANIFEST)
    if tuned.sha256 != manifest.sha256 or "tuned" not in tuned.protocol:
        raise UsageError(f"{folder} does not hold the weights of this run as lungzoo tune postprocess writes them.")
    if len(members := tuned.protocol["tuned"].get("members", ())) > 1:
        raise UsageError(f"{folder} is one of {len(members)} members of an ensemble. {_ONE_RUN}")
    return manifest.model_copy(update={"protocol": tuned.protocol})


Target = Callable[[_Weights, str, Tracker], Publication]


def _target(to: str, wishes: Wishes) -> Target:
    if to.startswith(HUGGING_FACE) or to == "hf":
        hugging_face(to)
        if "@" in to:
            raise ConfigError(f"Weights are published to the main revision: hf:ORG/NAME. Received: '{to}'")
        return _to_hugging_face
    if to == MLFLOW:
        if wishes.tuned is not None:
            raise UsageError(
                "MLflow has the weights of a run with the run's own protocol, so --tuned does not go to 'mlflow'. "
                "Publish what was tuned to a folder or hf:ORG/NAME, or leave --tuned out."
            )
        return _to_mlflow
    if "://" in to:
        raise ConfigError(f"Weights are published to a folder, 'mlflow' or hf:ORG/NAME. Received: '{to}'")
    return _to_folder


def _to_folder(weights: _Weights, to: str, tracker: Tracker) -> Publication:
    hub, wishes = Path(to), weights.wishes

    def choose(index: HubIndex) -> str:
        if wishes.name:
            return wishes.name
        same = [entry.name for entry in index.weights if entry.sha256 == weights.manifest.sha256]
        if len(same) == 1 and wishes.force:
            return same[0]
        if same:
            one = "--force" if len(same) == 1 else "--name and --force"
            raise UsageError(
                f"The hub {hub} has these weights as {', '.join(map(repr, same))}. Replace them with {one}, or publish "
                "them under another name, too, with --name."
            )
        numbers = (number for number in range(1, len(index.weights) + 2))
        return next(name for n in numbers if not index.find(name := f"{weights.stem}-v{n}"))

    place = shelve(hub, choose, lambda name, folder: weights.fill(name, folder, name, "HUB"), wishes.force)
    use = (
        f"lungzoo predict SCAN -o mask.nii.gz --weights {place.name} --hub {hub}",
        f"python -m http.server --directory {hub}  # others then use --hub http://HOST:8000",
    )
    return Publication(place.name, f"{place}, listed in {hub / 'index.json'}", use, *weights.facts)


def _to_mlflow(weights: _Weights, to: str, tracker: Tracker) -> Publication:
    name = weights.wishes.name or weights.stem
    source = f"run:{weights.run_id}"
    _make(weights, name, source, _FROM_MLFLOW.format(run_id=weights.run_id))
    card = without_front_matter((weights.scratch / CARD).read_text(encoding="utf-8"))
    if len(card) > _LONGEST:
        note = f"\n\n… The rest is in `{CARD}` among the files of the model."
        card = card[: _LONGEST - len(note)].rpartition("\n")[0] + note
    champion = _champion(weights, card)
    version, new = tracker.register_run(weights.run_id, name, weights.scratch, champion)
    state = "registered as" if new else "already"
    use = (
        f"lungzoo predict SCAN -o mask.nii.gz --weights {source}",
        f"mlflow.pyfunc.load_model('models:/{name}/{version}')",
    )
    return Publication(name, f"{state} version {version} of the model models:/{name}", use, *weights.facts)


def _to_hugging_face(weights: _Weights, to: str, tracker: Tracker) -> Publication:
    repository = hugging_face(to).repository
    derived = re.sub(r"[^a-z0-9._-]+", "-", repository.partition("/")[2].lower())
    name = weights.wishes.name or derived
    _make(weights, name, to)
    address = upload(weights.scratch, repository, weights.wishes.force, weights.wishes.private)
    return Publication(name, address, (f"lungzoo predict SCAN -o mask.nii.gz --weights {to}",), *weights.facts)


def _make(weights: _Weights, name: str, source: str, code: str = "") -> None:
    try:
        weights.scratch.mkdir()
        weights.fill(name, weights.scratch, source, code=code)
    except OSError as error:
        raise storage_error("write the files to publish to", error) from error


def _champion(weights: _Weights, description: str) -> Champion:
    record, manifest = weights.record, weights.manifest
    input_shape, outputs = shapes_of(manifest.model)
    tags = {
        "arm": record.arm,
        "seed": str(record.seed),
        "dataset": str(record.dataset["name"]),
        "licence": weights.wishes.licence or manifest.licence,
        "val_dice": f"{record.validation['val_dice']:.4f}",
    }
    if dice := manifest.metrics.get("dice"):
        ends = {"test_dice": dice.mean, "test_dice_ci_low": dice.low, "test_dice_ci_high": dice.high}
        tags |= {key: f"{value:.4f}" for key, value in ends.items() if value is not None}
    return Champion(record.fingerprint, LOADER, input_shape, outputs, tags, description)


def _finished(record: RunRecord, run_id: str) -> RunRecord:
    if record.trial:
        raise UsageError(
            f"The run '{run_id}' is a trial of a search: its test split was left shut, so nothing is known of its "
            "weights. Train its settings (lungzoo tune apply), and publish that run."
        )
    if record.status != "finished":
        raise UsageError(
            f"The run '{run_id}' was {record.status}: {record.reason} Only weights of finished runs are published."
        )
    return record
