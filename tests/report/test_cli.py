"""What the command line answers before a command runs."""

import io
import json
import os
import signal
import subprocess
import sys
import textwrap

import pytest
from helpers import written_grid

from dcgan_utils import __version__, commands
from dcgan_utils.cli import main
from dcgan_utils.core.files import ensure_dir, notebooks_dir
from dcgan_utils.runs.run import FORMAT

HEAVY = {"torch", "numpy", "pandas", "matplotlib"}
ANSWER = f"""
import sys
from dcgan_utils.cli import main
try:
    code = main(sys.argv[1:])
except SystemExit as stop:
    code = stop.code
print({HEAVY} & set(sys.modules))
sys.exit(code)
"""


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--help"], 0, "playground"),
        (["--version"], 0, f"dcgan {__version__}\n"),
        (["study", "--help"], 0, "--scheduler"),
        (["lab", "--help"], 0, "dcgan lab --no-browser"),
        (["notebooks", "--help"], 0, "dcgan notebooks my-notebooks"),
        (["train", "--help"], 0, "dcgan train plein_air"),
        (["report", "--dataste", "monet"], 2, "Did you mean '--dataset'?"),
        (["report", "--noise", "gamma"], 2, "Did you mean '--noises'?"),
        (["report", "--epochs", "3"], 2, "write '-p epochs 3' instead of '--epochs'."),
        (["train", "--epochs", "3", "monet"], 2, "write '-p epochs 3' instead of '--epochs'."),
        (["train", "monet", "--epochs=3"], 2, "write '-p epochs 3' instead of '--epochs'."),
        (["train", "monet", "--epoch", "3"], 2, "Did you mean '-p epochs'?"),
        (["benchmark", "--repeats", "3"], 2, "write '-p repeats 3' instead of '--repeats'."),
        (["train", "my", "images"], 2, "'images' is one word too many."),
        (["sample", "a", "--to", "b", "--epochs", "3"], 2, "Did you mean '--epoch'?"),
        (["sample", "a", "--to", "b", "-n", "0"], 2, "must be an integer, 1 or more, not '0'"),
        (["repot"], 2, "Did you mean 'report'?"),
        (["--preset", "best"], 2, "'--preset' is not a command."),
        ([], 2, "playground"),
    ],
)
def test_help_and_mistyped_options_are_answered_without_torch(arguments, code, words):
    done = subprocess.run(
        [sys.executable, "-c", ANSWER, *arguments], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == code, done.stderr
    assert words in done.stdout + done.stderr
    assert done.stdout.endswith("set()\n")


WRONG_GRIDS = {
    "key": "collections: [plein_air]\nnoises: [gamma]\nsedes: [0]",
    "noise": "collections: [plein_air]\nnoises: [gama]",
    "own_noise": "collections: [plein_air]\nnoises: [gamma]\nalso: [{noise: gama}]",
    "parameter": "collections: [plein_air]\nnoises: [gamma]\nparameters: {epoch: 3}",
    "start": "collections: [plein_air]\nnoises: [gamma]\nparameters: {start_from: three-gama-s0}",
    "collection": "collections: [nowhere]\nnoises: [gamma]",
}


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("report --noises gama", "Did you mean 'gamma'?"),
        ("report --noises normal(0,-1)", "the standard deviation must be positive"),
        ("report --dataset nowhere", "'nowhere' is not a known collection"),
        ("report --preset besst", "Did you mean 'best'?"),
        ("report -p epoch 3", "Did you mean 'epochs'?"),
        ("report -p epochs three", "epochs should be a valid integer, not 'three'."),
        ("train plein_air -p start_from tree-gamma-s0", "Did you mean 'three-gamma-s0'?"),
        ("report -p start_from tree-gamma-s0", "Did you mean 'three-gamma-s0'?"),
        ("report -p start_from three-gamma-s0", "'three-gamma-s0' has no weights; train it first"),
        ("report -p fit padd", "Did you mean 'pad'?"),
        ("report --only comapre", "Did you mean 'compare'?"),
        ("report -p device gpu", "device must be auto, cpu, cuda"),
        ("report -p device cpu -p precision fp8", "precision must be one of auto, fp32, bf16"),
        ("benchmark -p foo 1", "'foo' is not a parameter."),
        ("benchmark -p dataset nowhere", "'nowhere' is not a known collection"),
        ("study nowhere.yaml", "the grid 'nowhere.yaml' cannot be read"),
        ("study key.yaml", "Did you mean 'seeds'?"),
        ("study noise.yaml", "Did you mean 'gamma'?"),
        ("study own_noise.yaml", "Did you mean 'gamma'?"),
        ("study parameter.yaml", "Did you mean 'epochs'?"),
        ("study start.yaml", "Did you mean 'three-gamma-s0'?"),
        ("study collection.yaml", "'nowhere' is not a known collection"),
        ("playground nosuchrun", "matches 'nosuchrun'. Available: three-gamma-s0"),
        ("playground three nosuchrun", "matches 'nosuchrun'. Available: three-gamma-s0"),
        ("playground noise.yaml", "Did you mean 'gamma'?"),
        ("tensorboard nosuchrun", "matches 'nosuchrun'. Available: three-gamma-s0"),
        ("train nowhere", "'nowhere' is not a known collection"),
        ("train plein_air --noise gama", "Did you mean 'gamma'?"),
        ("train plein_air -p noise gamma", "write --noise instead of '-p noise'."),
        ("train plein_air -p epoch 3", "Did you mean 'epochs'?"),
        ("sample nosuchrun --to x", "matches 'nosuchrun'. Available: three-gamma-s0"),
        ("sample three-gamma-s0 --to x --epoch 9", "has kept no weights of epoch 9. Kept: none."),
        ("export three-gamma-s0 --to x.pt", "'x.pt' must end in .onnx or .safetensors"),
        ("export nosuchrun --to x.safetensors", "matches 'nosuchrun'. Available: three-gamma-s0"),
        ("runs nosuchrun", "matches 'nosuchrun'. Available: three-gamma-s0"),
        ("page nowhere.ipynb", "the notebook 'nowhere.ipynb' cannot be read"),
        ("clean three-gama-s0", "Did you mean 'three-gamma-s0'?"),
        ("clean three-gamma-s0", "nobody can be asked here: give --yes"),
    ],
)
def test_mistyped_values_are_answered_without_torch(command, sentence, tmp_path, tiny):
    for name, content in WRONG_GRIDS.items():
        (tmp_path / f"{name}.yaml").write_text(content)
    folder = ensure_dir(tmp_path / "reports" / "runs" / "three-gamma-s0")
    data = {"name": "three", "data_hash": "", "source": "three"}
    about = {"format": FORMAT, "config": tiny().model_dump(), "data": data}
    (folder / "config.json").write_text(json.dumps(about))
    done = subprocess.run(
        [sys.executable, "-c", ANSWER, *command.split()],
        cwd=tmp_path,
        env=os.environ | {"DCGAN_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (2, "set()\n")
    assert sentence in done.stderr


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("report", "Run the same command again to resume."),
        ("study", "Run the same command again to resume."),
        ("benchmark", "The command will start over."),
        ("doctor", "Interrupted.\n"),
    ],
)
def test_an_interrupted_command_says_what_to_do(command, sentence, monkeypatch, capsys):
    def interrupt(options):
        raise KeyboardInterrupt

    monkeypatch.setattr(f"dcgan_utils.commands.{command}", interrupt)
    assert main([command] + ["grid.yaml"] * (command == "study")) == 130
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize("wrong", ["noise", "preset", "dataset"])
def test_parameters_with_an_option_of_their_own_are_refused(wrong, capsys):
    assert main(["report", "-p", wrong, "gamma"]) == 2
    assert f"--{wrong}" in capsys.readouterr().err


def test_a_parameter_given_twice_is_refused(capsys):
    assert main(["benchmark", "-p", "repeats", "1", "-p", "repeats", "2"]) == 2
    assert "'-p repeats' is given twice." in capsys.readouterr().err


@pytest.mark.parametrize("name", ["007", "1e3", "True", "None", "on", "2024"])
def test_values_stay_as_they_are_written(monkeypatch, name, tmp_path):
    from dcgan_utils.report import build
    from dcgan_utils.report.site import Page

    handed_over = []

    def execute(notebook, output, parameters, *, title, summary):
        handed_over.append(parameters)
        return Page(title, summary, output, output, 0.0, "", "")

    monkeypatch.setattr(build, "build_page", execute)
    monkeypatch.setattr(build, "image_files", lambda dataset, img_size: [])
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()
    assert main(["benchmark", "-p", "dataset", name, "-p", "seed", "1"]) == 0
    assert handed_over == [{"dataset": name, "seed": "1"}]


def test_none_in_capitals_is_no_augmentation(capsys, image_folder):
    given = ["--dataset", str(image_folder), "--preset", "pokemon", "-p", "augment", "None"]
    assert main(["report", *given]) == 2
    assert "augment must be one of none," in (message := capsys.readouterr().err)
    assert "not 'None'. Did you mean 'none'?" in message


@pytest.mark.parametrize(
    "command",
    [
        *("doctor", "report", "benchmark", "playground x", "study {grid}"),
        *("train plein_air", "runs", "sample x --to y", "clean"),
    ],
)
@pytest.mark.parametrize("home", ["~nobody-of-this-name/x", "/dev/null", "/dev/null/x", "n" * 300])
def test_a_home_folder_that_is_none_is_refused_by_every_command(
    command, home, monkeypatch, capsys, tmp_path, image_folder
):
    grid = written_grid(tmp_path, image_folder)
    monkeypatch.setenv("DCGAN_HOME", home)
    assert main(command.format(grid=grid).split()) == 2
    assert f"error: the environment variable DCGAN_HOME is '{home}'" in capsys.readouterr().err


def begin(module, *arguments):
    """Run the command line with a Ctrl-C as soon as it imports a module; return the process."""
    script = f"""
    import os, runpy, signal, sys
    class CtrlC:
        def find_spec(self, name, *rest):
            if name == {module!r}:
                os.kill(os.getpid(), signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # behind an & it is ignored
    sys.meta_path.insert(0, CtrlC())
    sys.argv = ["dcgan_utils", *{arguments!r}]
    runpy.run_module("dcgan_utils", run_name="__main__", alter_sys=True)
    """
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize(
    "module", ["dcgan_utils.cli", "argparse", "dcgan_utils.core", "numpy", "torch", "torch.nn"]
)
def test_ctrl_c_while_modules_are_imported_ends_quietly(module):
    done = begin(module, "doctor")
    assert (done.returncode, done.stderr) == (130, "")


WITHIN_EXEC = """
import sys
import dcgan_utils.cli
from dcgan_utils.__main__ import run
def interrupted():
    exec("raise KeyboardInterrupt")
dcgan_utils.cli.main = interrupted
sys.exit(run())
"""


def test_ctrl_c_within_an_exec_ends_by_the_code_and_not_by_the_signal(tmp_path):
    (tmp_path / "wrapper.py").write_text(WITHIN_EXEC)
    command = [sys.executable, "-m", "wrapper"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (130, "")


def test_ignored_signals_stay_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as after nohup
    try:
        with commands.loading():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with commands.loading():
            assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_an_output_that_lacks_a_letter_is_no_reason_to_fail(monkeypatch, encoding, stream):
    written = io.BytesIO()
    lacking = io.TextIOWrapper(written, encoding=encoding, write_through=True)
    monkeypatch.setattr(sys, stream, lacking)
    monkeypatch.setattr(
        "dcgan_utils.commands.doctor",
        lambda options: print("写真: done", file=getattr(sys, stream)),
    )
    main(["doctor"])
    assert written.getvalue() == b"??: done\n"


def test_an_output_that_is_no_file_is_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    monkeypatch.setattr("dcgan_utils.commands.doctor", lambda options: print("写真"))
    main(["doctor"])
    assert sys.stdout.getvalue() == "写真\n"


@pytest.mark.parametrize(
    "command",
    [
        "report --dataset nowhere",
        "report --dataset three --noises gama",
        "report --dataset three --noises gamma --only compare",
        "report --dataset three --only latent",
        "report --dataset nothing",
        "benchmark -p dataset nothing",
        "study grid.yaml",
        "playground three",
    ],
)
def test_nothing_is_made_in_reports_before_the_input_is_known_to_be_good(
    command, home, monkeypatch, image_folder, capsys
):
    monkeypatch.chdir(home)
    image_folder.rename(home / "three")
    (home / "nothing").mkdir()
    (home / "grid.yaml").write_text("collections: [nothing]\nnoises: [gamma]")
    assert main(command.split()) == 2
    capsys.readouterr()
    assert not (home / "reports").exists()
    # Images that were fit to be read, and were read, are read faster the next time.
    is_read = "--only" in command
    assert (home / "data").exists() == is_read


def test_notebooks_are_copied_and_none_is_overwritten(tmp_path, capsys):
    folder = tmp_path / "a" / "b"
    (folder.parent).mkdir()
    assert main(["notebooks", str(folder)]) == 0
    names = {path.name for path in notebooks_dir().glob("[!.]*.*")}
    assert {"train.ipynb", "grid.yaml"} < {path.name for path in folder.iterdir()} == names
    (folder / "train.ipynb").write_text("mine")
    (folder / "eda.ipynb").unlink()
    capsys.readouterr()
    assert main(["notebooks", str(folder)]) == 0
    copied, kept = capsys.readouterr().out.splitlines()
    assert copied == f"Copied into '{folder}': eda.ipynb."
    assert "left as they are: " in kept
    assert "train.ipynb" in kept
    assert (folder / "train.ipynb").read_text() == "mine"
    assert (folder / "eda.ipynb").read_bytes() == (notebooks_dir() / "eda.ipynb").read_bytes()


def test_notebooks_cannot_be_copied_into_a_file(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert main(["notebooks", str(tmp_path / "file")]) == 2
    assert "is not a folder" in capsys.readouterr().err


@pytest.mark.parametrize("installed", [False, True], ids=["checkout", "wheel"])
def test_lab_opens_copies_of_the_notebooks_and_hands_on_the_options(
    installed, monkeypatch, tmp_path, home, capsys
):
    from jupyterlab.labapp import LabApp

    opened = []
    monkeypatch.setattr(LabApp, "launch_instance", lambda arguments: opened.append(arguments))
    if installed:
        monkeypatch.setattr("dcgan_utils.core.files._PACKAGED", notebooks_dir())
    monkeypatch.chdir(tmp_path)
    assert main(["lab", "--port", "8890", "--no-browser"]) == 0
    folder = "notebooks" if installed else "work"
    root, url, *others = opened[0]
    assert root == f"--ServerApp.root_dir={home}"
    assert url == f"--LabApp.default_url=/lab/tree/{folder}/start.ipynb"
    assert others == ["--port", "8890", "--no-browser"]
    assert {"start.ipynb", "glossary.md", "grid.yaml"} <= {
        file.name for file in (home / folder).iterdir()
    }
    assert os.environ["DCGAN_HOME"] == str(home)
    assert capsys.readouterr().out == ""


def test_lab_keeps_a_copy_that_is_older_than_the_notebook_and_says_so(monkeypatch, home, capsys):
    from jupyterlab.labapp import LabApp

    monkeypatch.setattr(LabApp, "launch_instance", lambda arguments: None)
    mine = home / "work" / "eda.ipynb"
    mine.parent.mkdir()
    mine.write_text("mine")
    os.utime(mine, (0, 0))
    assert main(["lab"]) == 0
    assert mine.read_text() == "mine"
    said = f"Older than this version's, in '{mine.parent}': eda.ipynb. Delete or rename"
    assert capsys.readouterr().out.startswith(said)
