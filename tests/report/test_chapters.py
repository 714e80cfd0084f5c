"""Which chapters a report has, and how long they take."""

import math
import os
import time

import nbformat
import pytest
from helpers import TINY
from in_process import StandIn

from dcgan_utils.cli import main
from dcgan_utils.core.errors import WorkbookError
from dcgan_utils.core.files import reports_dir
from dcgan_utils.core.progress import clock
from dcgan_utils.data.load import load_dataset
from dcgan_utils.report import build, chapters
from dcgan_utils.report.build import build_report, plan_report
from dcgan_utils.report.chapters import SECONDS, time_epoch
from dcgan_utils.report.configs import CHAPTERS, ON_REQUEST, choose_chapters
from dcgan_utils.report.site import Page
from dcgan_utils.runs import training
from dcgan_utils.runs.run import Run, run_name
from dcgan_utils.runs.training import train

# --- Which ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("only", "skip", "also", "chosen"),
    [
        (None, None, None, {"eda", "augment", "train", "compare", "latent"}),
        (None, None, "benchmark, capacity,details", {*CHAPTERS}),
        ("eda, Compare", None, None, {"eda", "compare"}),
        ("eda,", None, "benchmark", {"eda", "benchmark"}),
        ("benchmark", None, None, {"benchmark"}),
        (None, "augment,latent", None, {"eda", "train", "compare"}),
        (None, "benchmark", "benchmark", {*CHAPTERS} - ON_REQUEST),
    ],
)
def test_chapters_are_chosen_by_their_names(only, skip, also, chosen):
    assert choose_chapters(only, skip, also) == chosen


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            ["--only", "comapre"],
            "'comapre' is not a chapter. Did you mean 'compare'? Available: eda,",
        ),
        (["--skip", "eda,capacty"], "'capacty' is not a chapter. Did you mean 'capacity'?"),
        (["--only", ""], "'only' names no chapter"),
        (["--skip", " , "], "'skip' names no chapter"),
        (["--skip", "eda,augment,train,latent,compare"], "leaves out every chapter"),
        (["--also", "detials"], "'detials' is not a chapter. Did you mean 'details'?"),
        (["--only", "eda", "--skip", "train"], "exclude each other"),
        (["--only", "compare", "--noises", "gamma"], "'compare' needs 2 noises or more"),
        (["--only", "eda,compare"], "are missing: U(-1, 1), N(0, 1), Gamma(2, 1). '--only train'"),
        (["--only", "latent"], "'latent' needs trained runs, at least 1"),
        (["--skip", "eda,augment,train"], "'latent' needs trained runs"),
    ],
)
def test_a_wrong_choice_is_refused_before_anything_runs(
    options, sentence, image_folder, monkeypatch, capsys
):
    monkeypatch.setattr(build, "build_page", lambda *a, **k: pytest.fail("something ran"))
    assert main(["report", "--dataset", str(image_folder), *options]) == 2
    assert sentence in (message := capsys.readouterr().err)
    assert message.count("\n") == 1


@pytest.fixture
def stand_in(monkeypatch):
    """Let no kernel start: a training is one call of `train`."""
    stand_in = StandIn()
    monkeypatch.setattr(build, "execute_notebook", stand_in)
    return stand_in


def plan(image_folder, noises="gamma,normal", **options):
    parameters = TINY | options.pop("parameters", {})
    return plan_report(str(image_folder), noises, parameters=parameters, **options)


def built(image_folder, **options):
    """Build a report on tiny images; return its index, and the names of the pages it leads to."""
    index, pages = build_report(plan(image_folder, **options))
    text = index.read_text()
    names = [page.html.stem for page in pages]
    assert all(f'href="{name}.html"' in text for name in names)
    return text, names


ALL = ["eda", "augment", "trainings", "compare", "latent"]


def test_chapters_that_are_left_out_are_neither_built_nor_in_the_index(image_folder, stand_in):
    text, names = built(image_folder, skip="augment,eda")
    assert names == stand_in.executed == ["trainings", "compare", "latent"]
    assert "capacity" not in text
    assert "eda" not in text


def test_pages_of_single_trainings_are_built_on_request(image_folder, stand_in):
    _, names = built(image_folder, only="details")
    assert names == ["train-gamma", "train-normal"]
    assert stand_in.executed == ["train", "train"]
    stand_in.executed.clear()
    _, names = built(image_folder, also="details")
    assert names == [*ALL, "train-gamma", "train-normal"]


def test_a_single_noise_has_the_page_of_one_training_and_no_comparison(image_folder, stand_in):
    _, names = built(image_folder, noises="gamma")
    assert names == ["eda", "augment", "train", "latent"]


def test_a_training_that_fails_does_not_stop_the_others(image_folder, stand_in, monkeypatch):
    def fail_with_gamma(config, *arguments, **options):
        if config.noise == "gamma(2, 1)":
            raise WorkbookError("training diverged.")
        return train(config, *arguments, **options)

    monkeypatch.setattr(training, "train", fail_with_gamma)
    report = plan(image_folder, "gamma,uniform,normal", only="train")
    build_report(report)
    assert [Run(name).config.noise for name in report.trained] == [
        "uniform(-1, 1)", "normal(0, 1)"
    ]  # fmt: skip


def test_the_index_keeps_the_chapters_that_an_earlier_report_has_made(image_folder, stand_in):
    _, names = built(image_folder)
    assert names == ALL
    folder = reports_dir() / "ten-images"
    nbformat.write(nbformat.v4.new_notebook(), folder / "augment.ipynb")  # it is not executed
    stand_in.executed.clear()
    _, names = built(image_folder, only="compare")
    assert stand_in.executed == ["compare"]
    assert names == [name for name in ALL if name != "augment"]
    menu = (folder / "eda.html").read_text()
    assert 'href="compare.html"' in menu
    _, names = built(image_folder, only="eda", parameters={"seed": 5})
    assert names == ["eda"], "the others were made with another seed"


def test_without_train_the_comparison_shows_what_is_trained_and_names_the_rest(
    image_folder, stand_in, monkeypatch
):
    shown = []

    def execute(name, output, parameters):
        shown.append((name, parameters.get("runs"), parameters.get("run")))
        return stand_in(name, output, parameters)

    monkeypatch.setattr(build, "execute_notebook", execute)
    build_report(plan(image_folder, "gamma,normal", only="train"))
    shown.clear()
    report = plan(image_folder, "gamma,uniform,normal", only="compare,latent")
    assert report.about.endswith("\nNot trained yet, so not shown: U(-1, 1)")
    gamma, normal = report.trained
    assert (Run(gamma).config.noise, Run(normal).config.noise) == ("gamma(2, 1)", "normal(0, 1)")
    build_report(report)
    assert shown == [("compare", f"{gamma},{normal}", None), ("latent", None, gamma)]


def test_without_train_and_runs_the_other_chapters_are_built(image_folder, stand_in):
    _, names = built(image_folder, skip="train")
    assert names == ["eda", "augment"]


def test_fit_and_background_reach_the_exploration_and_the_trainings(wide_folder):
    squares = {"fit": "pad", "background": "#0000ff"}
    report = plan(wide_folder, "gamma", parameters={"fit": "pad", "background": "blue"})
    eda, single = (c for c in report.chapters if c.name in ("eda", "train"))
    assert eda.values.items() >= squares.items()
    ((run, config),) = single.runs.items()
    assert config.loading.items() >= squares.items()
    assert run == run_name(config, load_dataset(wide_folder, 32, **squares))


def test_only_parameters_that_differ_from_the_preset_are_named(image_folder):
    report = plan_report(str(image_folder), "gamma", parameters={"epochs": "7", "width": "16"})
    assert report.about == "ten-images: 10 images; noises Gamma(2, 1); preset quick, epochs 7"


# --- How long ------------------------------------------------------------------------------


@pytest.fixture
def timetable(image_folder, monkeypatch):
    """Return the timetable of a report with two trainings of ten epochs; an update takes a day."""
    monkeypatch.setattr(chapters, "time_epoch", lambda config, images: 86_400)
    table = plan(image_folder, skip="latent", parameters={"epochs": 10}).timetable
    assert [chapter.notebook for chapter in table.chapters] == [
        "eda", "augment", "trainings", "compare"
    ]  # fmt: skip
    return table


def trained(config, collection, epochs, *, seconds=60, ago=0):
    """Let a run have some epochs, the last of which ended some seconds ago."""
    run = Run.create(config, collection)
    for epoch in range(1, epochs + 1):
        run.log_epoch({"epoch": epoch, "seconds": seconds})
    history = run.folder / "history.csv"
    os.utime(history, (time.time() - ago,) * 2)
    return run


def page(seconds, failed=""):
    return Page("", "", None, None, seconds, failed, "")


def test_trainings_are_timed_by_their_epochs_as_soon_as_there_are_some(timetable, collection):
    trainings = timetable.chapters[2]
    timetable.begin(trainings)
    timetable.began -= 1000
    assert "[3/4] The trainings, about 479:44:" in timetable.describe(), "20 days"
    trained(next(iter(trainings.runs.values())), collection, 4, ago=30)
    # Six minutes and ten, and the figures, less half a minute.
    left = 16 * 60 - 30 + SECONDS["trainings"]
    assert f", {clock(left)} left (report: about " in timetable.describe()
    rest = left + SECONDS["compare"]
    assert f"report: about {round(rest / 60)} min left)" in timetable.describe()


def test_a_training_that_is_resumed_is_timed_from_now_on(timetable, collection):
    trainings = timetable.chapters[2]
    first, second = trainings.runs.values()
    trained(first, collection, 10).gif_path.write_bytes(b"")
    trained(second, collection, 8, ago=5000)
    timetable.begin(trainings)
    assert f"The trainings, {clock(120 + SECONDS['trainings'])} left" in timetable.describe()


def test_a_finished_training_takes_its_figures_alone(timetable, collection):
    for config in timetable.chapters[2].runs.values():
        trained(config, collection, 7).gif_path.write_bytes(b"")
    whole = sum(SECONDS[chapter.notebook] for chapter in timetable.chapters)
    assert timetable.describe_whole() == f"Chapters: 4, about {round(whole / 60)} min"


def test_other_chapters_are_scaled_by_those_that_have_ended(timetable):
    eda, augment, *_ = timetable.chapters
    timetable.begin(eda)
    assert timetable.describe().startswith(f"[1/4] The collection, about 1:{SECONDS['eda'] - 60}")
    timetable.end(page(3 * SECONDS["eda"]))
    timetable.begin(augment)
    assert f"about 0:{3 * SECONDS['augment']} left" in timetable.describe()
    timetable.end(page(0.1, failed="no"))  # says nothing about the others
    assert timetable._left(augment) == 3 * SECONDS["augment"]
    assert timetable.describe() == "Writing the pages"


def test_a_chapter_that_takes_longer_than_expected_says_how_long_it_has_taken(timetable):
    timetable.begin(timetable.chapters[0])
    timetable.began -= SECONDS["eda"] + 20
    assert timetable.describe().startswith("[1/4] The collection, 1:4")
    assert " so far (report: about " in timetable.describe()


def test_before_the_first_training_some_updates_are_timed(tiny):
    one, six = (time_epoch(tiny(augment=policy), 40) for policy in ("none", "pil"))
    assert 0 < one < six


def test_updates_that_fail_leave_the_time_open(image_folder, tiny, monkeypatch):
    def fail(config):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(chapters, "DCGAN", fail)
    assert math.isnan(time_epoch(tiny(), 40))
    table = plan(image_folder).timetable
    assert table.describe_whole() == "Chapters: 5"
    table.begin(table.chapters[0])
    assert "report" not in table.describe()
    table.begin(table.chapters[2])
    assert table.describe().endswith("The trainings, 0:01 so far")
