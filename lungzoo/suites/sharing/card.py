"""The model card: what weights are for, what they were trained on, how good they are, and what they are not for."""

from __future__ import annotations

import json
import math
from typing import Any

from lungzoo.evaluation.labels import auc_in_words
from lungzoo.evaluation.score import LABEL_ACCURACY
from lungzoo.metrics.contract import METRICS
from lungzoo.suites.report.numbers import number, with_interval
from lungzoo.suites.report.protocol import split_in_words
from lungzoo.suites.sharing.limits import limits_of
from lungzoo.tracking.record import RunRecord
from lungzoo.weights.index import MANIFEST
from lungzoo.weights.manifest import Score, WeightsManifest

# Identifiers that Hugging Face knows for licences that datasets of chest CT have.
_LICENCES = (
    "apache-2.0", "bsd-3-clause", "cc0-1.0", "cc-by-3.0", "cc-by-4.0", "cc-by-nc-3.0", "cc-by-nc-4.0",
    "cc-by-nc-sa-4.0", "cc-by-sa-4.0", "mit",
)  # fmt: skip
_TAGS = ["lungzoo", "keras", "image-segmentation", "medical", "computed-tomography", "lung-cancer"]

NOT_A_DEVICE = (
    "**Not a medical device.** Not for diagnosis, treatment or any other decision about a patient; no authority has "
    "cleared it, and nobody has tested it for that."
)


def model_card(manifest: WeightsManifest, record: RunRecord, source: str, hub: str = "", code: str = "") -> str:
    """Return README.md of published weights, with the front matter that Hugging Face reads.

    Args:
        manifest: of the weights, under their published name.
        record: of the run that they are of.
        source: what `lungzoo predict --weights` takes.
        hub: what `--hub` takes; "" where the source says it all.
        code: lines of Python that load the model; "" for `lungzoo.load` of the source.
    """
    sections = {
        "Intended use": _use(),
        "How to use it": _usage(manifest, source, hub, code or _loading(source, hub)),
        "Data": _data(record),
        "Training": _training(manifest, record),
        "Results": _results(manifest, record),
        "Limits": "\n".join(f"- {_line(limit)}" for limit in limits_of(manifest, record)),
        "Licence and credit": _credit(manifest),
        "Files": _files(manifest),
    }
    body = "\n\n".join(f"## {heading}\n\n{text}" for heading, text in sections.items())
    return f"{_front_matter(manifest, record)}\n\n# {_line(manifest.title)}\n\n{NOT_A_DEVICE}\n\n{body}\n"


def without_front_matter(card: str) -> str:
    """Return a card as stores show it that read no front matter."""
    return card.split("\n---\n", 1)[1].lstrip()


def _front_matter(manifest: WeightsManifest, record: RunRecord) -> str:
    """Return YAML; values are written as JSON, which YAML contains."""
    licence = manifest.licence.lower()
    known = (
        {"license": licence} if licence in _LICENCES else {"license": "other", "license_name": _line(manifest.licence)}
    )
    metrics = [
        {"type": name, "name": f"Test {_title(name)}", "value": round(score.mean, 4)}
        for name, score in manifest.metrics.items()
    ]
    about = {"name": record.dataset["title"], "type": record.dataset["name"]}
    result = {"task": {"type": "image-segmentation"}, "dataset": about, "metrics": metrics}
    values: dict[str, Any] = {
        **known,
        "library_name": "keras",
        "pipeline_tag": "image-segmentation",
        "tags": _TAGS,
        "model-index": [{"name": manifest.name, "results": [result] if metrics else []}],
    }
    lines = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in values.items()]
    return "\n".join(["---", *lines, "---"])


def _use() -> str:
    return (
        "Research on the segmentation of lung lesions in CT slices: as a baseline, as a start for fine-tuning, for "
        "teaching. Check it on cases of your own scanner and patients before you rely on any figure below."
    )


def _loading(source: str, hub: str) -> str:
    setting = f'os.environ["LUNGZOO_HUB"] = "{hub}"\n' if hub else ""
    imports = "import os\n\nimport lungzoo\n\n" if hub else "import lungzoo\n\n"
    return f'{imports}{setting}model = lungzoo.load("{source}")'


def _usage(manifest: WeightsManifest, source: str, hub: str, code: str) -> str:
    asked = f" --hub {hub}" if hub else ""
    place = "`HUB` stands for the folder or the address that holds this one.\n\n" if hub else ""
    model = manifest.model
    channels = model.in_channels * model.in_slices
    return (
        f"{place}```\nlungzoo predict SCAN -o mask.nii.gz --weights {source}{asked}\n```\n\n"
        f"```python\n{code}\n```\n\n"
        f"It takes float slices in [0, 1] with {channels} channel(s), any height and width, prepared as `protocol` in "
        f"`{MANIFEST}` says, and answers with logits. `lungzoo predict` prepares scans itself. Whether its training "
        f"patients are in your test split: `lungzoo data audit DATASET --weights {source}{asked}`."
    )


def _data(record: RunRecord) -> str:
    data = record.dataset
    lines = [
        f"{data['title']} (`{data['name']}`), {data['slices']} slices of {data['patients']} patients, licence "
        f"{data['licence'] or 'unknown'}. Fingerprint `{data['fingerprint'][:12]}`.",
        split_in_words(record.split) + f" Every patient is listed in `{MANIFEST}`.",
    ]
    return "\n\n".join(map(_line, lines))


def _training(manifest: WeightsManifest, record: RunRecord) -> str:
    train, transfer = record.config["train"], record.config["transfer"]
    loss = ", ".join(f"{term['weight']:g} × {term['name']}" for term in train["loss"])
    lines = [
        f"Model `{manifest.model.name}`, {record.cost.get('params', math.nan) / 1e6:.2f} M parameters. Started from "
        f"{manifest.source}, recipe `{transfer['recipe']}`.",
        f"Epochs: {record.validation['epochs']:.0f}, of which epoch {record.validation['epoch']:.0f} was best on the "
        f"validation split (Dice {number(record.validation['val_dice'])}); batches of {train['batch_size']}, learning "
        f"rate {train['learning_rate']:g}, loss {loss}, seed {record.seed}.",
        *_classes(manifest),
        f"Made with lungzoo {manifest.lungzoo_version or 'of unknown version'}, {manifest.created}.",
    ]
    return "\n\n".join(map(_line, lines))


def _classes(manifest: WeightsManifest) -> list[str]:
    """Say what names the class of a lesion."""
    second, labels = manifest.second_stage, manifest.model.labels
    if second:
        return [
            f"Lesions are told apart as {', '.join(second.labels)} by a second stage, `{second.name}`, fitted on what "
            "the trained network marks. `lungzoo predict` asks it; `lungzoo.load` returns the network alone."
        ]
    return [f"Slices are told apart as {', '.join(labels)} by a label head."] if labels else []


def _results(manifest: WeightsManifest, record: RunRecord) -> str:
    score = record.config["score"]
    names = sorted(manifest.metrics, key=lambda name: name != "dice")
    rows = [_row(name, manifest.metrics[name]) for name in names]
    table = "\n".join(["| metric | mean [95% CI] | slices | patients |", "| --- | --- | --- | --- |", *rows])
    counts = record.counts
    note = (
        f"On the test split, which was predicted once; intervals resample patients. {counts.get('lesion', 0)} slices "
        f"with a lesion of at least {score['min_lesion_px']} px, {counts.get('empty', 0)} without; threshold "
        f"{score['threshold']:g}"
        + (f"; each slice shifted by up to {score['shift_px']} px" if score["shift_px"] else "")
        + ". Metrics of overlap are means over slices with a lesion."
    )
    return f"{table}\n\n{_line(f'{note} {auc_in_words(record.curves)}')}"


def _row(name: str, score: Score) -> str:
    figure = {key: math.nan if value is None else float(value) for key, value in score.model_dump().items()}
    digits = METRICS.get(name).digits if name in METRICS else 3
    unit = METRICS.get(name).unit if name in METRICS else ""
    cells = (
        f"{_title(name)}, {unit}" if unit else _title(name),
        with_interval(figure, digits),
        str(score.cases),
        str(score.patients),
    )
    return "| " + " | ".join(_line(cell).replace("|", "\\|") for cell in cells) + " |"


def _credit(manifest: WeightsManifest) -> str:
    lines = [f"Licence of the weights: {manifest.licence or 'not stated; ask whoever published them'}."]
    lines += [f"Data: {manifest.attribution}."] if manifest.attribution else []
    return "\n\n".join(map(_line, lines))


def _files(manifest: WeightsManifest) -> str:
    second = manifest.second_stage
    kept = f" With what `{second.name}` has learnt: weights, or features of training lesions." if second else ""
    return (
        f"- `{manifest.file}`: {manifest.size_bytes} bytes, sha256 `{manifest.sha256}`. Numbers by name; nothing in it "
        f"can run.{kept}\n- `{MANIFEST}`: architecture, hash, patients, protocol, metrics."
    )


def _title(name: str) -> str:
    if name == LABEL_ACCURACY:
        return "Accuracy of the classes"
    return METRICS.get(name).title if name in METRICS else name


def _line(text: str) -> str:
    return " ".join(text.split())
