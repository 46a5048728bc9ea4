"""What `lungzoo data show` prints: the values of `data.summary` as short lines and small tables."""

from __future__ import annotations

from typing import Any

BAR_WIDTH = 30


def summary_lines(facts: dict[str, Any]) -> list[str]:
    """Return the lines for the values of `summarise`, with `contact_sheet` added."""
    return [
        *_facts(facts),
        *_table("Label", ("slices", "patients"), facts["labels"]),
        *(line for unit, sizes in facts["lesion_diameter"].items() for line in _sizes(unit, sizes)),
        *_readers(**facts["readers"]),
        *(
            line
            for name, counts in facts["columns"].items()
            for line in _table(name, ("slices",), {value: {"slices": count} for value, count in counts.items()})
        ),
        *(["", *(f"Note: {note}" for note in facts["notes"])] if facts["notes"] else []),
    ]


def count(number: int, what: str) -> str:
    """Return "1 patient", "2 patients"."""
    return f"{number} {what}" + ("" if number == 1 else "s")


def _facts(facts: dict[str, Any]) -> list[str]:
    slices, height, width = facts["shape"]
    about = {
        "Name": facts["name"],
        "Title": facts["title"],
        "Licence": facts["licence"],
        "Reader": facts["reader"],
        "Images": f"{count(slices, 'slice')} of {height} × {width} px, units {facts['units']}",
        "From": _origin(facts),
        "Slices": (
            f"{facts['slices_with_lesion']} with a lesion, {facts['slices_disputed']} disputed, "
            f"{facts['slices_empty']} empty"
        ),
        **_volume(facts["lesion_volume"]),
        "Spacing": _spacing(facts["spacing"]),
        "Fingerprint": facts["fingerprint"],
        "Contact sheet": facts["contact_sheet"],
    }
    return [f"{key:<13}  {value or '–'}" for key, value in about.items()]


def _origin(facts: dict[str, Any]) -> str:
    volumes = count(facts["volumes"], "volume")
    if facts["patients_known"]:
        return f"{count(facts['patients'], 'patient')}, {volumes}"
    images = count(facts["patients"], "image")
    return f"{volumes}, no named patients: each of {images} counts as one, and splits keep near-duplicates together"


def _volume(sizes: dict[str, Any]) -> dict[str, str]:
    """Lesion volume, where grids are known."""
    if not sizes:
        return {}
    percentiles, volumes = sizes["percentiles_cm3"], sizes["volumes"]
    if volumes == 1:
        return {"Lesion volume": f"{percentiles['50']:g} cm³"}
    spread = f"median {percentiles['50']:g} cm³, range {percentiles['0']:g} to {percentiles['100']:g}"
    return {"Lesion volume": f"{spread}, in {volumes} volumes"}


def _spacing(spacing: dict[str, Any]) -> str:
    axes = [f"{axis} {_range(*spacing[f'{axis}_mm'])} mm" for axis in "zyx" if spacing[f"{axis}_mm"]]
    if spacing["slices_unknown"]:
        axes.append(f"unknown for {count(spacing['slices_unknown'], 'slice')}")
    return ", ".join(axes)


def _range(low: float, high: float) -> str:
    return f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"


def _table(title: str, columns: tuple[str, ...], rows: dict[str, dict[str, int]]) -> list[str]:
    first = max(map(len, (title, *rows)))
    lines = ["", f"{title:<{first}}" + "".join(f"  {column:>8}" for column in columns)]
    return lines + [f"{name:<{first}}" + "".join(f"  {row[key]:>8}" for key in columns) for name, row in rows.items()]


def _sizes(unit: str, sizes: dict[str, Any]) -> list[str]:
    percentiles, histogram = sizes["percentiles"], sizes["histogram"]
    lines = [
        "",
        f"Lesion diameter in {unit}, {count(sizes['slices'], 'slice')}: median {percentiles['50']:g}, "
        f"range {percentiles['0']:g} to {percentiles['100']:g}",
    ]
    most = max(*histogram.values(), 1)
    names = max(map(len, histogram))
    for name, slices in histogram.items():
        bar = "█" * -(-BAR_WIDTH * slices // most)  # rounded up, so that a single slice shows
        lines.append(f"{name:>{names}}  {slices:>8}  {bar}".rstrip())
    return lines


def _readers(slices_by_reader: dict[str, int], slices_by_number: dict[str, int]) -> list[str]:
    lines = _table("Reader", ("slices",), {name: {"slices": slices} for name, slices in slices_by_reader.items()})
    if len(slices_by_reader) > 1:
        by_number = ", ".join(f"{number}: {slices}" for number, slices in slices_by_number.items())
        lines.append(f"Slices by number of readers  {by_number}")
    return lines
