"""What the command line answers before a command runs."""

import io
import subprocess
import sys

import pytest

from dcgan_utils.cli import main

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
        (["study", "--help"], 0, "--scheduler"),
        (["report", "--dataste", "monet"], 2, "unrecognized arguments: --dataste"),
        (["repot"], 2, "invalid choice: 'repot'"),
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

    monkeypatch.setattr(f"dcgan_utils.cli._{command}", interrupt)
    assert main([command] + ["grid.yaml"] * (command == "study")) == 130
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize("wrong", ["noise", "preset", "dataset"])
def test_parameters_with_an_option_of_their_own_are_refused(wrong, capsys):
    assert main(["report", "-p", wrong, "gamma"]) == 2
    assert f"--{wrong}" in capsys.readouterr().err


def test_a_parameter_given_twice_is_refused(capsys):
    assert main(["benchmark", "-p", "repeats", "1", "-p", "repeats", "2"]) == 2
    assert "'-p repeats' is given twice." in capsys.readouterr().err


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_an_output_that_lacks_a_letter_is_no_reason_to_fail(monkeypatch, encoding, stream):
    written = io.BytesIO()
    lacking = io.TextIOWrapper(written, encoding=encoding, write_through=True)
    monkeypatch.setattr(sys, stream, lacking)
    monkeypatch.setattr(
        "dcgan_utils.cli._doctor", lambda options: print("写真: done", file=getattr(sys, stream))
    )
    main(["doctor"])
    assert written.getvalue() == b"??: done\n"


def test_an_output_that_is_no_file_is_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    monkeypatch.setattr("dcgan_utils.cli._doctor", lambda options: print("写真"))
    main(["doctor"])
    assert sys.stdout.getvalue() == "写真\n"
