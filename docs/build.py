"""Write docs/reference.md, docs/models.md and the published tables, or check that they are current (`--check`).

The reference's lists come from `lungzoo list … --json`, so the page shows what a user would see; its keys come from the
config models and the docstrings below their fields. The table of models joins the registries with docs/models.json,
which `make measure` writes; nothing is measured here. The tables of benchmarks/results come from their meta.json, and
go into their own pages and, in short, between two markers of the project's README.md. The check also works their means
out again from results.csv, and looks at links.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "docs")]

from build_reference import NOTE, reference_page, table  # noqa: E402

from lungzoo.decoders import DECODERS  # noqa: E402
from lungzoo.encoders import ENCODERS  # noqa: E402
from lungzoo.encoders.contract import EncoderSpec  # noqa: E402
from lungzoo.models.segmentation_models import ARCHITECTURES, BACKBONES  # noqa: E402
from lungzoo.models.zoo import MODELS  # noqa: E402
from lungzoo.suites.report.publishing.page import page, section  # noqa: E402
from lungzoo.suites.report.publishing.published import PAGE, faults, published_folders, read_meta  # noqa: E402

REFERENCE = ROOT / "docs" / "reference.md"
TABLES = ROOT / "docs" / "models.md"
MEASURED = ROOT / "docs" / "models.json"
README = ROOT / "README.md"
RESULTS = ROOT / "benchmarks" / "results"
MARKERS = ("<!-- results -->", "<!-- /results -->")
COMPARED = ("mobilenetv2", "resnet50")
Rows = dict[str, dict[str, Any]]


def own_models(dims: int) -> dict[tuple[str, str], str]:
    """Return the names of lungzoo's own models by encoder and decoder."""
    return {
        (spec.encoder, spec.decoder): name
        for name, spec in MODELS.items()
        if spec.provider == "lungzoo" and spec.dims == dims
    }


def model_count() -> int:
    """Count all models, those of segmentation_models too where it is not installed."""
    return len(own_models(2)) + len(own_models(3)) + len(ARCHITECTURES) * len(BACKBONES)


def measured() -> tuple[dict[str, Any], Rows]:
    """Return the machine and the measurements by model."""
    if not MEASURED.is_file():
        return {}, {}
    facts = json.loads(MEASURED.read_text(encoding="utf-8"))
    return facts["machine"], facts["models"]


def unmeasured(rows: Rows) -> list[str]:
    """Return the models that the tables want and nobody measured."""
    names = own_models(2)
    wanted = [names[encoder, "unet"] for encoder in ENCODERS.names()]
    wanted += [names[encoder, decoder] for encoder in COMPARED for decoder in DECODERS.names()]
    return sorted(set(wanted) - set(rows))


def models_page() -> str:
    """Return the page of models."""
    machine, rows = measured()
    sections = {
        "Models by name": names_section(),
        "Encoders": encoders_section(rows),
        "Decoders": decoders_section(rows),
        "Volumes": volumes_section(rows),
        "segmentation_models": library_section(rows),
        "How it was measured": machine_section(machine),
    }
    lead = (
        f"{model_count()} models: any encoder with any decoder, and a few more. Parameters in millions and "
        "multiply-adds in billions (GMACs) are those of the defaults for one slice of 256 × 256 pixels and one mask, "
        "milliseconds (ms) those of one prediction [on one CPU](#how-it-was-measured).\n"
    )
    body = [f"## {title}\n\n{text}\n" for title, text in sections.items()]
    return "\n".join([f"# Models\n\n{NOTE}\n", lead, *body])


def names_section() -> str:
    """Give the names as patterns."""
    pairs, volumes = own_models(2), own_models(3)
    others = [f"`{d}_{e}` is called `{name}`" for (e, d), name in pairs.items() if name != f"{d}_{e}"]
    encoders, decoders = len(ENCODERS.names()), len(DECODERS.names())
    rows = [
        ["`DECODER_ENCODER`", f"{decoders} [decoders](#decoders) × {encoders} [encoders](#encoders)", str(len(pairs))],
        [
            "`sm/DECODER_BACKBONE`",
            f"{len(ARCHITECTURES)} decoders × {len(BACKBONES)} backbones of [another library](#segmentation_models)",
            str(len(ARCHITECTURES) * len(BACKBONES)),
        ],
        [", ".join(f"`{name}`" for name in volumes.values()), "[volumes](#volumes)", str(len(volumes))],
    ]
    notes = "".join(f"\n\n{note}." for note in others)
    return f"{table(['name', 'parts', 'models'], rows)}{notes}\n\n`lungzoo list models 'unet_*'` lists names."


def encoders_section(rows: Rows) -> str:
    """List the encoders."""
    names = own_models(2)
    columns = ["encoder", "name", "weights", "params", "GMACs", "U-Net params", "U-Net GMACs", "U-Net ms"]
    body = [
        [
            spec.title,
            f"`{name}`",
            ", ".join(spec.weights) or "none",
            *alone(spec),
            *cost(rows.get(names[name, "unet"])),
            spec.paper,
            spec.licence,
            spec.scaling,
        ]
        for name, spec in ENCODERS.items()
    ]
    text = "Params and GMACs are the encoder's alone, then with the U-Net decoder; scaling is what it does with [0, 1]."
    return f"{text}\n\n{table([*columns, 'paper', 'licence', 'scaling'], body)}"


def decoders_section(rows: Rows) -> str:
    """List the decoders."""
    names = own_models(2)
    columns = [f"{encoder} {unit}" for encoder in COMPARED for unit in ("params", "GMACs", "ms")]
    body = [
        [
            spec.title,
            f"`{name}`",
            *(cell for encoder in COMPARED for cell in cost(rows.get(names[encoder, name]))),
            spec.widths,
            ", ".join(f"`{setting}`" for setting in spec.ignores) or "–",
            spec.paper,
        ]
        for name, spec in DECODERS.items()
    ]
    text = f"Whole models on {' and '.join(ENCODERS.get(encoder).title for encoder in COMPARED)}."
    return f"{text}\n\n{table(['decoder', 'name', *columns, 'widths', 'has no use for', 'paper'], body)}"


def volumes_section(rows: Rows) -> str:
    """List the 3D models."""
    body = []
    for name in own_models(3).values():
        row = rows.get(name)
        slices = str(row["input"][0]) if row else "–"
        body.append([MODELS.get(name).description, f"`{name}`", slices, *cost(row)])
    text = "Trained from scratch on patches of neighbouring slices; one prediction is a whole patch."
    return f"{text}\n\n{table(['model', 'name', 'slices', 'params', 'GMACs', 'ms'], body)}"


def library_section(rows: Rows) -> str:
    """Describe the rows of segmentation_models."""
    body = [
        [f"`{name}`", ", ".join(row["weights"]) or "none", *cost(row)]
        for name, row in sorted(rows.items())
        if name.startswith("sm/")
    ]
    text = (
        "Networks as the library [segmentation_models](https://github.com/qubvel/segmentation_models) builds them, "
        "where it is installed and Keras runs on TensorFlow.\n\n"
        f"- decoders: {', '.join(f'`{name}`' for name in ARCHITECTURES)}\n"
        f"- backbones: {', '.join(f'`{name}`' for name in sorted(BACKBONES))}"
    )
    return f"{text}\n\n{table(['name', 'weights', 'params', 'GMACs', 'ms'], body)}" if body else text


def machine_section(machine: dict[str, Any]) -> str:
    """Say on what and how it was measured, and how to repeat it."""
    what = (
        f"{machine['cpu']}, {machine['cores']} cores, without a GPU; Python {machine['python']}, "
        f"TensorFlow {machine['tensorflow']}, Keras {machine['keras']}. "
        if machine
        else ""
    )
    return (
        f"{what}Random weights, float32, batches of one, a compiled function per model; two predictions to warm up, "
        "then three rounds of five: the median of the fastest round. Statistics of BatchNorm count as parameters; "
        "convolutions and matrix products count as multiply-adds.\n\n"
        "```bash\nmake measure                                # what docs/models.json lacks\n"
        "python benchmarks/speed/zoo.py --fresh      # everything anew, on another machine\n"
        "make docs                                   # writes this page\n```"
    )


def alone(spec: EncoderSpec) -> list[str]:
    """Return the cells of an encoder without decoder."""
    facts = spec.facts
    return [number(facts.params / 1e6), number(facts.gmacs)] if facts else ["–", "–"]


def cost(row: dict[str, Any] | None) -> list[str]:
    """Return the cells of a measured model: parameters, multiply-adds, time."""
    return [number(row["params"] / 1e6), number(row["gmacs"]), f"{row['ms']:.0f}"] if row else ["–", "–", "–"]


def number(value: float) -> str:
    """Write a number with two decimals below ten, with one below a hundred, else with none."""
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f}"


def result_pages() -> dict[Path, str]:
    """Return the page of each published suite, and the project's README with their short tables."""
    folders = published_folders(RESULTS)
    if wrong := [fault for folder in folders for fault in faults(folder)]:
        sys.exit("Published results are not what they say:\n" + "\n".join(wrong))
    metas = {folder: read_meta(folder) for folder in folders}
    pages = {folder / PAGE: page(meta) for folder, meta in metas.items()}
    tables = section(metas.values(), RESULTS.relative_to(ROOT).as_posix())
    return pages | {README: between_markers(README.read_text(encoding="utf-8"), tables)}


def between_markers(text: str, tables: str) -> str:
    """Put the tables between the markers; without tables a text without markers is left alone."""
    start, end = (text.find(marker) for marker in MARKERS)
    if 0 <= start < end:
        head, tail = text[: start + len(MARKERS[0])], text[end:]
        return f"{head}\n\n{tables}\n\n{tail}" if tables else f"{head}\n{tail}"
    if tables or start >= 0 or end >= 0:
        sys.exit(f"README.md has no place for the published tables. Add two lines, in this order: {', '.join(MARKERS)}")
    return text


def broken_links() -> list[str]:
    """Return the relative links of the Markdown files that lead nowhere."""
    folders = (".", "docs", "mlflow", "benchmarks", "tuning")
    files = sorted(file for folder in folders for file in (ROOT / folder).glob("*.md"))
    return [
        f"{file.relative_to(ROOT)}: {target}"
        for file in files
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", file.read_text(encoding="utf-8"))
        if ":" not in target and not (file.parent / target).exists()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail if it is out of date")
    check = parser.parse_args().check
    for path, text in {REFERENCE: reference_page(model_count()), TABLES: models_page(), **result_pages()}.items():
        name = path.relative_to(ROOT)
        if not check:
            path.write_text(text, encoding="utf-8")
            print(f"wrote {name}")
        elif not path.is_file() or path.read_text(encoding="utf-8") != text:
            sys.exit(f"{name} is out of date. Run: make docs")
    if check and (missing := unmeasured(measured()[1])):
        sys.exit(f"docs/models.json lacks: {', '.join(missing)}. Run: make measure docs")
    if broken := broken_links():
        sys.exit("Links that lead nowhere:\n" + "\n".join(broken))


if __name__ == "__main__":
    main()
