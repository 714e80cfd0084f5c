"""The numbers in README and RESULTS are those of the committed tables."""

import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from dcgan_utils.gan.config import PRESETS
from dcgan_utils.runs.run import run_name
from dcgan_utils.study import claims
from dcgan_utils.study.record import Record

ROOT = Path(__file__).parents[1]
REPORTS = ROOT / "reports"
RESULTS = (REPORTS / "RESULTS.md").read_text("utf-8")
README = (ROOT / "README.md").read_text("utf-8")


def table_after(place):
    """Return the cells of the first Markdown table after a place in RESULTS, by row."""
    lines = RESULTS[RESULTS.index(place) :].splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("|"))
    rows = []
    for line in lines[first:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip().replace("**", "") for cell in line.strip("|").split("|")])
    return [rows[0], *rows[2:]]


def of_arms(collection):
    """Return the rows that RESULTS should have for the arms of a collection."""
    measures = pd.read_csv(REPORTS / f"noise-study/{collection}/{collection}-dcgan-measures.csv")
    for label, runs in measures.groupby("label", sort=False):
        kid = f"{runs['kid'].mean():.3f}"
        if len(runs) > 1:
            kid += f" ({runs['kid'].min():.3f} to {runs['kid'].max():.3f})"
        means = runs.mean(numeric_only=True)
        yield [
            label, f"{means['|mean| / std']:.3g}", kid, f"{means['coverage']:.2f}",
            f"{means['share_between_images']:.2f}", f"{means['support_size']:.0f}",
            f"{means['sharpness']:.2f}", str(len(runs)),
        ]  # fmt: skip


@pytest.mark.parametrize(
    "collection",
    [name for name in ("monet", "plein_air") if f"{name}-dcgan-measures.csv" in RESULTS],
)
def test_the_arms_are_those_of_the_record(collection):
    _, *rows = table_after(f"noise-study/{collection}/{collection}-dcgan-measures.csv")
    assert rows == list(of_arms(collection))


def test_the_anchors_are_those_of_the_record():
    path = REPORTS / "noise-study/monet/monet-dcgan-anchors.csv"
    kid = pd.read_csv(path, index_col="run")["kid"]
    assert f"A grey rectangle has a KID of {kid['grey']:.3f}" in RESULTS
    assert f"ten paintings repeated have {kid['ten images, repeated']:.3f}" in RESULTS


def test_the_verdicts_are_what_the_rule_says_of_the_record():
    first, *rows = table_after("this is the first look")
    for column, name in enumerate(first[1:], start=1):
        collection = name.lower()
        path = REPORTS / f"noise-study/{collection}/{collection}-dcgan-measures.csv"
        found = {claim.letter: claim for claim in claims.judge(pd.read_csv(path), looks=(3, 5, 8))}
        stated = {row[0].split(")")[0].strip("("): row[column] for row in rows}
        assert set(stated) == set(found)
        for letter, cell in stated.items():
            verdict, _, reason = cell.partition(": ")
            assert verdict == found[letter].verdict
            assert found[letter].reason.startswith(reason), letter


def test_the_seeds_that_open_claims_would_take_are_those_of_the_simulation():
    seeds = {}
    for name in ("monet", "plein_air"):
        measures = pd.read_csv(REPORTS / f"noise-study/{name}/{name}-dcgan-measures.csv")
        seeds[name] = claims.power_table(measures, looks=(3, 5, 8))["seeds"].to_dict()
    others = sorted(int(n) for letter, n in seeds["monet"].items() if letter != "b2")
    assert f"To decide b2 would take {seeds['monet']['b2']} seeds" in RESULTS
    assert f"other open claims need {others[0]} to {others[-1]} in all" in RESULTS
    many = [letter for letter, n in seeds["plein_air"].items() if n == "more than 96"]
    few = sorted(int(n) for letter, n in seeds["plein_air"].items() if letter not in many)
    assert f"{many[0]}, {many[1]} and {many[2]} would take more than 96 seeds" in RESULTS
    assert f"there, the others {few[0]} to {few[-1]} in all" in RESULTS


@pytest.mark.parametrize(("column", "collection"), [(1, "monet"), (2, "plein_air")])
def test_the_pilot_s_verdicts_are_what_the_rule_says(column, collection):
    table = pd.read_csv(REPORTS / f"noise-study/pilot/{collection}-measures.csv")
    table = table.assign(first_norm="channel", share_between_images=0.0)
    found = {claim.letter: claim for claim in claims.judge(table)}
    _, *rows = table_after("noise-study/pilot/plein_air-measures.csv")
    stated = {row[0].split(")")[0].strip("("): row[column] for row in rows}
    assert set(stated) == set(found) - {"b1", "g"}
    for letter, cell in stated.items():
        verdict, _, interval = cell.partition(": ")
        assert verdict == found[letter].verdict
        assert interval in found[letter].reason, letter


def test_what_is_said_of_the_pilot_s_spread_is_in_its_tables():
    pilot = REPORTS / "noise-study/pilot"
    apart, by_former_rule, deviations = [], [], {}
    for collection in ("monet", "plein_air"):
        table = pd.read_csv(pilot / f"{collection}-measures.csv")
        kid = table.groupby("label")["kid"]
        apart += list((kid.max() - kid.min()) / kid.mean())
        claims_then = pd.read_csv(pilot / f"{collection}-claims-by-the-former-rule.csv")
        by_former_rule += list(claims_then["verdict"])
        for is_zero, own in table.groupby(table["|mean| / std"] == 0):
            variances = np.log(own["kid"]).groupby(own["label"]).var()
            deviations[collection, is_zero] = f"{variances.mean() ** 0.5:.3f}"
    ends = f"{min(apart):.0%} to {max(apart):.0%}".replace("%", "", 1).replace("%", " %")
    assert f"lay {ends} apart, {100 * np.median(apart):.0f} % in the median" in RESULTS
    assert (by_former_rule.count("undecided"), len(by_former_rule)) == (10, 12)
    protocol = (REPORTS / "noise-study/PROTOCOL.md").read_text("utf-8")
    assert f"is {deviations['monet', True]} (Monet) and {deviations['plein_air', True]}" in protocol
    assert f"and {deviations['monet', False]} and {deviations['plein_air', False]}" in protocol


@pytest.mark.parametrize(
    ("path", "place", "columns"),
    [
        ("ablation/monet.csv", "[table](ablation/monet.csv)", {"kid": 3, "diversity": 2}),
        ("augment/critters.csv", "(augment/critters.csv)", {"kid": 3}),
        ("augment/pokemon.csv", "(augment/critters.csv)", {"kid": 3}),
    ],
)
def test_other_tables_are_those_of_their_files(path, place, columns):
    table = pd.read_csv(REPORTS / path)
    cells = {cell for row in table_after(place)[1:] for cell in row}
    for column, digits in columns.items():
        for value in table[column]:
            assert f"{value:.{digits}f}" in cells, (path, column, value)


@pytest.mark.parametrize(
    ("path", "place"),
    [("ablation/monet-best.csv", "(ablation/monet-best.csv)"),
     ("second-study/pokemon-quality.csv", "(second-study/pokemon-quality.csv)")],
)  # fmt: skip
def test_qualities_over_epochs_are_those_of_their_files(path, place):
    table = pd.read_csv(REPORTS / path).set_index("epoch")
    epochs, *rows = table_after(place)
    for name, *values in rows:
        for epoch, value in zip(epochs[1:], values, strict=True):
            digits = len(value.partition(".")[2])
            exact = table.loc[int(epoch), name.lower()]
            assert float(value) == pytest.approx(exact, abs=0.501 / 10**digits)


def test_the_speeds_are_those_of_the_benchmark():
    turns = pd.read_csv(REPORTS / "benchmark/turns.csv")
    for batch, bf16, fp32 in ((128, "2.7", "1.4"), (64, "2.3", "1.3")):
        wide = turns[turns["batch"] == batch].pivot(
            index="turn", columns="loop", values="pictures_per_second"
        )
        ratio = {name: (wide[name] / wide["textbook"]).median() for name in wide}
        said = {f"{value:.1f}" for name, value in ratio.items() if name != "textbook"}
        assert {bf16, fp32} <= said, said
    assert "2.7 times as fast at batch 128 and 2.3 times at\nbatch 64" in README
    page = (ROOT / "docs/benchmark.md").read_text("utf-8")
    assert "2.7 times as fast at batch 128 and 2.3 times at batch 64" in page


def test_what_quick_reaches_is_in_its_table():
    table = pd.read_csv(REPORTS / "quick.csv")
    table = table[table["cpu_seconds"].between(89, 94) & (table["noise"] == "normal")]
    names = ["architecture", "width", "batch_size", "lr", "augment", "noise_size"]
    settings = [
        ("dcgan", 32, 8, 2e-4, "none", 16),
        ("resize", 24, 16, 4e-4, "ada", 100),
        ("resize", 16, 8, 4e-4, "ada", 100),
        ("resize", 16, 16, 8e-4, "ada", 100),
        ("resize", 16, 16, 4e-4, "none", 100),
        ("resize", 16, 16, 8e-4, "none", 100),
        ("resize", 16, 16, 4e-4, "ada", 100),
        ("resize", 16, 16, 4e-4, "ada", 16),
    ]
    rows = table_after("the preset `quick`\n")[1:]
    for row, values in zip(rows, settings, strict=True):
        own = table[(table[names] == list(values)).all(axis=1)].sort_values("seed")
        for collection, cell in zip(("plein_air", "monet"), row[1:], strict=True):
            kids = own.loc[own["collection"] == collection, "kid"]
            assert cell == ", ".join(f"{kid:.3f}" for kid in kids)
    own = PRESETS["quick"]
    assert tuple(own[name] for name in names) == settings[-1]


def test_results_name_only_files_that_are_there():
    for text, folder in ((RESULTS, REPORTS), (README, ROOT)):
        for target in re.findall(r"\]\(([^)#]+)\)", text):
            assert "://" in target or (folder / target).exists(), target


@pytest.mark.parametrize(
    "path",
    sorted(REPORTS.glob("noise-study/*/*-dcgan-measures.csv")),
    ids=lambda path: path.parent.name,
)
def test_recorded_runs_keep_their_names(path):
    """A study would train them again otherwise."""
    record = Record.of_file(path)
    for run in record.runs():
        data = SimpleNamespace(**record.settings["data"])
        assert run_name(run.config, data) == run.name
