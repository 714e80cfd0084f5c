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


def told():
    return {finding.topic: finding for finding in examine()}


@pytest.fixture(autouse=True)
def own_kernel(monkeypatch):
    """Let the kernel be this Python, as it is where nobody has changed it."""
    set_kernel(monkeypatch, [sys.executable, "-m", "ipykernel_launcher"])


def set_kernel(monkeypatch, argv):
    spec = SimpleNamespace(argv=argv)
    monkeypatch.setattr(KernelSpecManager, "get_kernel_spec", lambda *_: spec)


def test_a_sound_installation_has_nothing_amiss(home, tiny, collection, monkeypatch, capsys):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1e11))
    train(tiny(), collection)
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert "->" not in said
    for topic in ("Python", "packages", "kernel", "machine", "device", "precision", "free disk"):
        assert f"\n{topic}" in f"\n{said}"
    assert "plein_air  will be painted" in said
    assert "monet      is not there; it would come from https://www.kaggle.com" in said
    assert "1, of which 1 are finished" in said
    assert str(home) in said


def test_collections_that_are_there_are_found(home):
    (home / "data" / "monet_jpg").mkdir(parents=True)
    assert told()["monet"].told == f"is in '{home / 'data' / 'monet_jpg'}'"


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_precision_comes_with_its_reason(precision, monkeypatch):
    units = "amx" if precision == "bf16" else None
    monkeypatch.setattr("dcgan_utils.core.environment.bf16_units", lambda: units)
    assert told()["precision"].told.startswith(f"{precision}, as ")
    assert ("(amx)" in told()["precision"].told) == (units is not None)


def test_another_kernel_is_told(monkeypatch, capsys):
    set_kernel(monkeypatch, ["/usr/bin/env", "-m", "ipykernel_launcher"])
    assert "Notebooks would run elsewhere" in told()["kernel"].advice
    assert main(["doctor"]) == 1
    assert "-> Notebooks would run elsewhere" in capsys.readouterr().out


def test_no_kernel_is_told(monkeypatch):
    def none(self, name):
        raise NoSuchKernel(name)

    monkeypatch.setattr(KernelSpecManager, "get_kernel_spec", none)
    assert "ipykernel install" in told()["kernel"].advice


def test_a_broken_run_and_a_full_disk_are_told(home, monkeypatch):
    broken = home / "reports" / "runs" / "broken"
    broken.mkdir(parents=True)
    (broken / "config.json").write_text(json.dumps([1]))
    full = SimpleNamespace(free=1e8)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    assert "Not readable: broken" in told()["runs"].advice
    assert "That is little" in told()["free disk"].advice


def test_a_missing_package_is_told(monkeypatch):
    monkeypatch.setattr(doctor, "_PACKAGES", ("torch", "no-such-package"))
    assert "Missing: no-such-package" in told()["packages"].advice
