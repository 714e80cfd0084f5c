import pytest

from dcgan_utils.core import environment
from dcgan_utils.gan import convolutions


def test_the_ceiling_is_a_rate_of_this_machine():
    assert 1e8 < environment.ceiling("fp32", seconds=0.05) < 1e15


@pytest.mark.parametrize("units", ["amx", "avx512_bf16", None])
def test_the_machine_is_told_in_words(monkeypatch, units):
    monkeypatch.setattr(convolutions, "bf16_units", lambda: units)
    words = environment.machine()
    assert "GiB" in words
    assert {"amx": "AMX", "avx512_bf16": "AVX512-BF16", None: "no fast bf16"}[units] in words


def test_results_tell_what_they_rest_on():
    lines = environment.provenance({"seed": 3, "images": "ten"}).splitlines()
    assert lines[0].split() == ["seed", "3"]
    assert any(line.startswith("torch ") for line in lines)
    assert len({len(line) - len(line.split(maxsplit=1)[1]) for line in lines}) == 1, "one column"
