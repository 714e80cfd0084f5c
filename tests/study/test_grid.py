import shutil

import pytest
from helpers import TINY_GRID, written_grid

from dcgan_utils.core.errors import WorkbookError
from dcgan_utils.data.load import load_dataset
from dcgan_utils.gan.config import TrainConfig
from dcgan_utils.runs.run import run_name
from dcgan_utils.study.grid import Grid, load_grid, tasks


def test_a_grid_file_lists_the_runs_seed_by_seed(tmp_path, image_folder):
    grid = load_grid(written_grid(tmp_path, image_folder, epochs=3))
    found = tasks(grid)
    assert [(task.noise, task.seed) for task in found] == [
        ("normal(0, 1)", 0), ("gamma(2, 1)", 0), ("normal(0, 1)", 1), ("gamma(2, 1)", 1)
    ]  # fmt: skip
    assert found[1].parameters["epochs"] == 3
    assert found[1].parameters["dataset"] == str(image_folder)
    assert str(found[1]) == "ten-images, dcgan, gamma(2, 1), seed 0"
    assert found[1].parameters["precision"] == "fp32", "decided once, for all workers"
    assert len({task.run for task in found}) == 4


def test_the_combinations_are_all_there(tmp_path, image_folder):
    other = tmp_path / "others"
    shutil.copytree(image_folder, other)
    grid = Grid.resolve(
        collections=[str(image_folder), str(other)], noises=["normal"], seeds=[0],
        architectures=["dcgan", "pokemon"], parameters={"img_size": 32},
    )  # fmt: skip
    found = {(task.collection, task.architecture) for task in tasks(grid)}
    assert len(found) == 4


def test_collections_of_one_name_are_refused(tmp_path, image_folder):
    again = tmp_path / "again" / image_folder.name
    shutil.copytree(image_folder, again)
    grid = {"collections": [str(image_folder), str(again)], "noises": "normal"}
    with pytest.raises(WorkbookError, match="need different names"):
        tasks(Grid.resolve(**grid))
    with pytest.raises(WorkbookError, match="need different names"):
        tasks(Grid.resolve(**grid | {"collections": str(image_folder), "name": "ten-images"}))


def test_one_value_needs_no_list():
    grid = Grid.resolve(collections="plein_air", noises="N(0, 100)", seeds=3)
    assert (grid.noises, grid.seeds) == (("normal(0, 10)",), (3,))


@pytest.mark.parametrize("name", ["study", "my study", "noise-study/plein_air", "a.b/c+d"])
def test_a_study_may_lie_in_a_folder_of_several(name):
    assert Grid.resolve(name=name, collections="plein_air", noises="normal").name == name


def test_noises_with_a_comma_need_no_quotes(tmp_path):
    path = tmp_path / "grid.yaml"
    path.write_text("collections: plein_air\nnoises: [uniform, N(1, 1), standardized(gamma(2, 1))]")
    expected = ("uniform(-1, 1)", "normal(1, 1)", "standardized(gamma(2, 1))")
    assert load_grid(path).noises == expected


def read(folder, *lines):
    """Return the grid of a file in which some lines are others."""
    keys = [line.partition(":")[0] for line in lines]
    usual = {"collections": "collections: [plein_air]", "noises": "noises: [normal]"}
    kept = [line for key, line in usual.items() if key not in keys]
    path = folder / "grid.yaml"
    path.write_text("\n".join([*kept, *lines]))
    return load_grid(path)


@pytest.mark.parametrize(
    ("written", "name"),
    [
        (name, name)
        for name in ("2024", "007", "0", "-0", "1_000", "1e3", "1.0", "1.10", "0x10", "0o17", "inf",
                     "nan", "on", "No", "yes", "true", "False", "y", "12:30", "12:30:00",
                     "2024-01-01", "=")
    ]
    + [("'007'", "007"), ('"on"', "on"), ("'null'", "null"), ("!!str 1e3", "1e3")],
)  # fmt: skip
def test_names_are_read_as_they_are_written(tmp_path, written, name):
    assert read(tmp_path, f"collections: [{written}]").collections == (name,)
    assert read(tmp_path, f"collections: {written}").collections == (name,)
    assert read(tmp_path, f"label_column: {written}").label_column == name
    if ":" not in name and name[0] not in "-=":
        assert read(tmp_path, f"name: {written}").name == name


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("seeds: 010", (10,)),
        ("seeds: [0, 1_0, 2.0, '3']", (0, 10, 2, 3)),
        ("samples: 300", 300),
        ("samples: 300.0", 300),
        ("resources: {GPU: 1, memory: 1e9}", {"GPU": 1, "memory": 1e9}),
        ("parameters: {epochs: 3, lr: 0.001}", {"epochs": 3, "lr": 0.001}),
        ("parameters: {epochs: null}", {"epochs": None}),
        ("parameters: {show_epochs: [1, 2]}", {"show_epochs": [1, 2]}),
        ("parameters: {<<: {epochs: 3, width: 8}, epochs: 4}", {"epochs": 4, "width": 8}),
        ("parameters: {<<: [{epochs: 3}, {width: 8}]}", {"epochs": 3, "width": 8}),
        ("noises: [normal, N(0, 010)]", ("normal(0, 1)", "normal(0, 3.1622776601683795)")),
    ],
)
def test_numbers_are_numbers(tmp_path, line, value):
    assert getattr(read(tmp_path, line), line.partition(":")[0]) == value


@pytest.mark.parametrize(
    ("parameters", "name", "value"),
    [
        ("lr: 2e-4", "lr", 2e-4),
        ("flip: on", "flip", True),
        ("flip: false", "flip", False),
        ("epochs: 007", "epochs", 7),
        ("augment: none", "augment", "none"),
        ("show_epochs: [1, 2]", "show_epochs", (1, 2)),
    ],
)
def test_parameters_of_a_grid_mean_what_they_do_in_the_notebook(tmp_path, parameters, name, value):
    grid = read(tmp_path, f"parameters: {{{parameters}}}")
    assert getattr(TrainConfig.resolve(**grid.parameters), name) == value


@pytest.mark.parametrize(
    ("lines", "key", "line"),
    [
        (["noises: [gamma]", "noises: [uniform]"], "noises", 3),
        (["parameters: {epochs: 3, epochs: 4}"], "epochs", 3),
        (["parameters:", "  epochs: 3", "  width: 8", "  'epochs': 3"], "epochs", 6),
        (["parameters: {<<: {epochs: 3, epochs: 4}}"], "epochs", 3),
        (["parameters:", "  <<: [{width: 8}, {epochs: 3,", "    epochs: 4}]"], "epochs", 5),
        (["parameters: {<<: {epochs: 3}, <<: {epochs: 4}}"], "<<", 3),
        (["resources: {GPU: 1, GPU: 2}"], "GPU", 3),
        (["collections: [{a: 1, a: 1}]"], "a", 2),
        (["seeds: {1: 2, '1': 2}"], "1", 3),
        (["seeds: !!set {1, 1}"], "1", 3),
    ],
)
def test_keys_given_twice_are_refused(tmp_path, lines, key, line):
    with pytest.raises(WorkbookError, match=rf"'{key}' is given twice, again in line {line}\)"):
        read(tmp_path, *lines)


def test_a_grid_without_collections_says_so(tmp_path):
    (tmp_path / "grid.yaml").write_text("collection: plein_air\nnoises: normal")
    with pytest.raises(WorkbookError) as refusal:
        load_grid(tmp_path / "grid.yaml")
    assert str(refusal.value).startswith(
        "collections is missing. 'collection' is not a parameter. Did you mean 'collections'?"
    )


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ("collections: [null]", "collections.0 must be a text, not None"),
        ("collections: {a: 1}", "collections.0 must be a text"),
        ("name: !!timestamp 2024-01-01", "name must be a text, not 2024-01-01"),
        ("name: !!bool yes", "name must be a text, not True"),
        ("seeds: 0-4", "seeds.0 should be a valid integer, not '0-4'"),
        ("seeds: 12:30", "seeds.0 should be a valid integer, not '12:30'"),
        ("seeds: 0x10", "seeds.0 should be a valid integer, not '0x10'"),
        ("seeds: [1, 01]", "repeats a value: 1, 1"),
        ("seeds: yes", "seeds.0 should be a valid integer, not 'yes'"),
        ("samples: on", "samples should be a valid integer, not 'on'"),
        ("resources: {GPU: yes}", "resources.GPU should be a valid number"),
        ("noises: [gama]", "Did you mean 'gamma'?"),
        ("noises: [normal, 'N(0, 1)']", "is named twice"),
        ("seeds: [1, 2, 1]", "repeats a value: 1, 2, 1"),
        ("noise: [normal]", "'noise' is not a parameter. Did you mean 'noises'?"),
        ("noises: []", "no noise is named"),
        ("noises: [normal", "is not valid YAML"),
        ("kinds: subject", "'kinds' is not a parameter. Did you mean 'label_column'?"),
        ("seeds: [-1]", "seeds"),
        ("architectures: [dcgam]", "Did you mean 'dcgan'?"),
        ("parameters: {seed: 3}", "'seed' has its own list"),
        ("name: ../elsewhere", "name"),
        ("name: study/../../elsewhere", "name"),
        ("name: /elsewhere", "name"),
        ("name: study/", "name must be the name of a folder below reports/, of at most 60 letters"),
        ("name: 50%", "begin with a letter or digit, not '50%'."),
        (f"name: {'n' * 61}", f"begin with a letter or digit, not '{'n' * 61}'."),
        ("collections:", "collections is empty: write its value there, or remove the line."),
        ("collections: #images", "collections is empty"),
        ("noises:", "noises is empty"),
        ("seeds: null", "seeds is empty"),
        ("parameters:", "parameters is empty"),
        ("resources: ~", "resources is empty"),
        ("parameters: [epochs, 3]", "parameters should hold names with values, not '.'epochs', 3"),
        ("parameters: epochs=3", "parameters should hold names with values, not 'epochs=3'."),
        ("samples: 300.5", "samples should be a valid integer, not '300.5'."),
        ("resources: {GPU: one}", "resources.GPU should be a valid number, not 'one'."),
        (f"seeds: {[1] * 10_000}", r"repeats a value: (1, )+1, ...\.$"),
        ("name: !!python/object/apply:os.system ['true']", "is not valid YAML"),
    ],
)
def test_wrong_grids_are_refused_in_a_sentence(tmp_path, changed, sentence):
    lines = {"collections": "collections: [plein_air]", "noises": "noises: [normal]"}
    lines[changed.partition(":")[0]] = changed
    path = tmp_path / "grid.yaml"
    path.write_text("\n".join(lines.values()))
    with pytest.raises(WorkbookError, match=".*" + sentence.replace("?", r"\?")):
        load_grid(path)


def test_files_that_are_not_grids_are_refused(tmp_path):
    with pytest.raises(WorkbookError, match="cannot be read"):
        load_grid(tmp_path / "none.yaml")
    for text in ("just words", "", "- collections", "collections:plein_air"):
        (tmp_path / "text.yaml").write_text(text)
        with pytest.raises(WorkbookError, match=r"list of names with values, such as .*start from"):
            load_grid(tmp_path / "text.yaml")
    for encoding in ("utf-16", "cp1252"):
        (tmp_path / "text.yaml").write_text("collections: été", encoding=encoding)
        with pytest.raises(WorkbookError, match=r"cannot be read \(it is not UTF-8\)"):
            load_grid(tmp_path / "text.yaml")


def test_the_column_of_the_labels_may_be_left_empty(tmp_path):
    (tmp_path / "grid.yaml").write_text("collections: x\nnoises: normal\nlabel_column:\n")
    assert load_grid(tmp_path / "grid.yaml").label_column is None


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"collections": "nowhere"}, "not a known collection"),
        ({"parameters": {"epochs": 0}}, "epochs should be"),
        ({"parameters": {"epoch": 5}}, "Did you mean 'epochs'?"),
        ({"label_column": "colour"}, "does not sort all images"),
    ],
)
def test_what_the_runs_would_refuse_is_refused_before_any_begins(changes, sentence, image_folder):
    values = {"collections": str(image_folder), "noises": "normal"} | changes
    with pytest.raises(WorkbookError) as refusal:
        tasks(Grid.resolve(**values))
    assert sentence in str(refusal.value)


def test_a_device_that_only_the_workers_have_is_allowed(image_folder):
    grid = Grid.resolve(
        collections=str(image_folder),
        noises="normal",
        parameters={"device": "cuda", "img_size": 32},
    )
    assert tasks(grid)[0].parameters["device"] == "cuda"


def test_the_grid_beside_the_notebooks_is_a_grid():
    assert len(load_grid("grid.yaml").noises) == 4


def test_what_a_grid_does_not_say_is_settled():
    grid = Grid.resolve(collections="plein_air", noises="normal")
    said = (grid.name, grid.seeds, grid.architectures, grid.samples, grid.label_column)
    assert said == ("study", (0,), ("dcgan",), 300, None)


@pytest.mark.parametrize(("samples", "allowed"), [(5, False), (6, True), (100_001, False)])
def test_six_samples_are_the_least(samples, allowed):
    values = {"collections": "plein_air", "noises": "normal", "samples": samples}
    if allowed:
        assert Grid.resolve(**values).samples == samples
    else:
        with pytest.raises(WorkbookError, match="samples"):
            Grid.resolve(**values)


def test_each_run_has_the_noise_seed_and_architecture_that_it_is_named_after(image_folder):
    grid = Grid.resolve(
        collections=str(image_folder), noises=["normal", "gamma"], seeds=[3, 1],
        architectures=["pokemon", "dcgan"], parameters={"img_size": 32, "epochs": 7},
    )  # fmt: skip
    found = tasks(grid)
    rows = [(task.architecture, task.seed, task.noise) for task in found]
    assert rows == [
        (architecture, seed, noise)
        for architecture in ("pokemon", "dcgan")
        for seed in (3, 1)
        for noise in ("normal(0, 1)", "gamma(2, 1)")
    ]
    assert {task.epochs for task in found} == {7}
    names = ("architecture", "seed", "noise")
    assert [tuple(task.parameters[name] for name in names) for task in found] == rows


def test_a_grid_loads_its_images_as_its_runs_do(wide_folder):
    grid = Grid.resolve(
        collections=str(wide_folder),
        noises="gamma",
        architectures="dcgan",
        parameters=TINY_GRID | {"fit": "stretch"},
    )
    (task,) = tasks(grid)
    config = TrainConfig.resolve(**task.parameters)
    assert task.run == run_name(config, load_dataset(wide_folder, 32, fit="stretch"))


def test_the_column_asked_for_must_sort_the_images(image_folder):
    lines = [f"{number:02d}.png,{number % 2},{number}" for number in range(10)]
    (image_folder / "labels.csv").write_text("\n".join(["file,subject,number", *lines]))
    values = {"collections": str(image_folder), "noises": "normal", "parameters": {"img_size": 32}}
    assert len(tasks(Grid.resolve(**values, label_column="subject"))) == 1
    with pytest.raises(WorkbookError, match="'number' does not sort"):
        tasks(Grid.resolve(**values, label_column="number"))


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ("looks: [3, 2]", "looks must be increasing numbers of seeds, at most 3 here, not 3, 2."),
        ("looks: [2, 2]", "looks must be increasing"),
        ("looks: [2, 4]", "at most 3 here"),
        ("looks: [1]", "looks.0 should be greater than or equal to 2"),
        ("also: [{seed: 3}]", "differ in noise and first_norm, not in 'seed'. Make another grid"),
        ("also: [{noise: gamma, lr: 1}]", "not in 'lr'"),
        ("also: [{first_nrom: unit}]", "not in 'first_nrom'"),
        ("also: 3", "also.0 should hold names with values"),
    ],
)
def test_looks_and_runs_beside_the_grid_are_checked(tmp_path, image_folder, lines, why):
    path = written_grid(tmp_path, image_folder, seeds=[0, 1, 2])
    path.write_text(f"{path.read_text()}{lines}\n")
    with pytest.raises(WorkbookError) as error:
        load_grid(path)
    assert why in str(error.value)


def test_an_arm_that_is_there_already_is_refused(tmp_path, image_folder):
    path = written_grid(tmp_path, image_folder, seeds=[0])
    path.write_text(path.read_text() + "also: [{noise: 'gamma(2, 1)', first_norm: channel}]\n")
    with pytest.raises(WorkbookError, match=r"'also' repeats ten-images, dcgan, gamma\(2, 1\)"):
        tasks(load_grid(path))
