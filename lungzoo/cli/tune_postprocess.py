"""`lungzoo tune postprocess`: threshold, mirror images and steps after the network, chosen on validation cases."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from lungzoo.cli.hubs import HUB_OPTION, named_weights, use_hubs

if TYPE_CHECKING:
    from lungzoo.inference.tuning.gains import Difference
    from lungzoo.inference.tuning.run import Outcome


def postprocess(
    weights: list[str] = typer.Argument(
        help="Published name, run:ID, suite:NAME/ARM, hf:ORG/NAME, or path of weights with a manifest; several are "
        "averaged."
    ),
    data: Path = typer.Option(..., help="Prepared dataset that they were trained on."),
    out: Path = typer.Option(..., "--out", "-o", help="Folder to make: the weights, with what was chosen."),
    test: bool = typer.Option(False, "--test", help="Also show, once, what each step gains on the test split."),
    hub: list[str] = HUB_OPTION,
    batch_size: int = typer.Option(4, min=1, help="Slices at once; halved where memory runs out."),
    tile: int | None = typer.Option(None, min=32, help="Cut slices into overlapping tiles of this many pixels a side."),
    force: bool = typer.Option(False, "--force", help="Replace a folder that this command made."),
) -> None:
    """Choose threshold, mirror images and steps after the network on the validation split; predict then does so."""
    from contextlib import ExitStack

    from lungzoo.cli.output import progress_bar, starting_tensorflow
    from lungzoo.data.store import PreparedDataset
    from lungzoo.inference.members import open_members
    from lungzoo.inference.predictor import Passes
    from lungzoo.inference.tuning.run import tune
    from lungzoo.inference.tuning.tuned import check_out, write_tuned

    use_hubs(hub)
    check_out(out, force)
    dataset = PreparedDataset(data)
    passes = Passes(batch_size, tile, tell=lambda line: typer.echo(line, err=True))
    with ExitStack() as stack:
        with starting_tensorflow(onednn=True):
            members = stack.enter_context(open_members(named_weights(weights)))
        outcome = tune(members, dataset, passes, progress_bar, test)
        write_tuned(outcome, members, out, force)
    _print(outcome, out)


_LEVEL = 0.05


def _print(outcome: Outcome, out: Path) -> None:
    from lungzoo.statistics.bootstrap import FEW_PATIENTS
    from lungzoo.statistics.permutation import smallest_p

    held, grid = outcome.validation, outcome.grid
    if held.note:
        typer.echo(f"Note: {held.note}", err=True)
    few = len(set(held.patients))
    typer.echo(
        f"Validation: {len(held.rows)} slices of {few} patient(s), {grid.lesion_cases} with a lesion, "
        f"{grid.empty_cases} without; {grid.dice.size} combinations, each "
        f"{'slice by itself' if grid.axes.per_slice else 'volume as a whole'}."
    )
    _print_rows(_validation_rows(outcome))
    if few < FEW_PATIENTS:
        typer.echo(f"Only {few} validation patient(s): what is chosen may fit these and no others.")
    if not grid.dice.max():
        typer.echo("Whatever the threshold and the steps, no lesion of the validation split is found.")
    if outcome.test is not None:
        patients = len(set(outcome.test.patients))
        cases = f"{len(outcome.test.rows)} slices of {patients} patient(s)"
        typer.echo(f"Test, once: {cases}. Differences with 95% intervals over patients; p corrected over the rows.")
        _print_rows(_test_rows(outcome))
        if (least := smallest_p(patients)) > _LEVEL:
            typer.echo(f"Whatever the difference, p of {patients} patient(s) is {least:g} at least.")
    typer.echo(f"Wrote {out}. Use it with: lungzoo predict SCAN -o mask.nii.gz --weights {out}")


def _validation_rows(outcome: Outcome) -> list[dict[str, Any]]:
    from lungzoo.inference.tuning.words import describe

    plain, empty = outcome.plain.choice, outcome.grid.empty_cases
    named = [("plain pass", outcome.plain)]
    named += [(describe(tried.choice, plain), tried) for tried in outcome.alone.values()]
    if len(outcome.weights) > 1:
        named.append((f"mean of {len(outcome.weights)} models", outcome.grid.plain_pass))
    named.append((f"chosen: {describe(outcome.chosen.choice, plain)}", outcome.chosen))
    return [
        {"step": name, "validation Dice": f"{tried.dice:.4f}", "marked without lesion": f"{tried.marked} of {empty}"}
        for name, tried in named
    ]


def _test_rows(outcome: Outcome) -> list[dict[str, Any]]:
    from lungzoo.suites.report.numbers import p_value

    return [
        {
            "step": gain.row.name
            + ("" if gain.baseline == outcome.gains[0].baseline else f", against {gain.baseline}"),
            "Dice": f"{gain.dice.mean:.4f}",
            "difference [95% CI]": _interval(gain.dice) if number else "",
            "p": p_value(gain.dice.p_holm).removeprefix("= ") if number else "",
            "marked without lesion": _number(gain.marked.mean, 3),
            "difference": _interval(gain.marked) if number else "",
            "cases": f"{gain.dice.cases}, {gain.marked.cases} empty",
        }
        for number, gain in enumerate(outcome.gains)
    ]


def _interval(figure: Difference) -> str:
    if figure.low != figure.low:
        return _number(figure.difference, 4, "+")
    return f"{figure.difference:+.4f} [{figure.low:+.4f}, {figure.high:+.4f}]"


def _number(value: float, digits: int, sign: str = "") -> str:
    return "–" if value != value else f"{value:{sign}.{digits}f}"


def _print_rows(rows: list[dict[str, Any]]) -> None:
    from lungzoo.cli.output import print_listing

    print_listing(rows, as_json=False)
