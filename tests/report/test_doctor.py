import json
import shutil
import sys
from types import SimpleNamespace

import pytest
from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

from dcgan_utils.cli import main
from dcgan_utils.report import doctor
from dcgan_utils.report.doctor import examine
from dcgan_utils.runs.training import train


def findings():
    return {finding.topic: finding for finding in examine()}


@pytest.fixture(autouse=True)
def own_kernel(monkeypatch):
    """Let the kernel be this Python, as it is where nobody has changed it."""
    set_kernel(monkeypatch, [sys.executable, "-m", "ipykernel_launcher"])


def set_kernel(monkeypatch, argv):
    spec = SimpleNamespace(argv=argv)
    monkeypatch.setattr(KernelSpecManager, "get_kernel_spec", lambda *_: spec)


def test_a_sound_installation_has_no_problems(home, tiny, collection, monkeypatch, capsys):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1e11))
    train(tiny(), collection)
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert "->" not in said
    for topic in ("Python", "packages", "kernel", "machine", "device", "precision", "free disk"):
        assert f"\n{topic}" in f"\n{said}"
    assert "plein_air  will be painted" in said
    assert "monet      is not here; it can be had from https://www.kaggle.com" in said
    assert "1, 1 of them finished" in said
    assert str(home) in said


def test_collections_that_are_there_are_found(home):
    (home / "data" / "monet_jpg").mkdir(parents=True)
    assert findings()["monet"].message == f"is in '{home / 'data' / 'monet_jpg'}'"


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_precision_comes_with_its_reason(precision, monkeypatch):
    units = "amx" if precision == "bf16" else None
    monkeypatch.setattr("dcgan_utils.core.environment.bf16_units", lambda: units)
    assert findings()["precision"].message.startswith(f"{precision}, as ")
    assert ("(amx)" in findings()["precision"].message) == (units is not None)


def test_another_kernel_is_a_problem(monkeypatch, capsys):
    set_kernel(monkeypatch, ["/usr/bin/env", "-m", "ipykernel_launcher"])
    assert "Notebooks would run with another Python" in findings()["kernel"].advice
    assert main(["doctor"]) == 1
    assert "-> Notebooks would run with another Python" in capsys.readouterr().out


def test_no_kernel_is_a_problem(monkeypatch):
    def none(self, name):
        raise NoSuchKernel(name)

    monkeypatch.setattr(KernelSpecManager, "get_kernel_spec", none)
    assert "ipykernel install" in findings()["kernel"].advice


def test_a_broken_run_and_a_full_disk_are_problems(home, monkeypatch):
    broken = home / "reports" / "runs" / "broken"
    broken.mkdir(parents=True)
    (broken / "config.json").write_text(json.dumps([1]))
    full = SimpleNamespace(free=1e8)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    assert "Not readable: broken" in findings()["runs"].advice
    assert "This is little" in findings()["free disk"].advice


def test_a_missing_package_is_a_problem(monkeypatch):
    monkeypatch.setattr(doctor, "_PACKAGES", ("torch", "no-such-package"))
    assert "Missing: no-such-package" in findings()["packages"].advice
