import pytest

from dcgan_utils.core import environment


@pytest.mark.parametrize("units", ["amx", "avx512_bf16", None])
def test_the_machine_is_reported_in_words(monkeypatch, units):
    monkeypatch.setattr(environment, "bf16_units", lambda: units)
    words = environment.machine()
    assert "GiB" in words
    assert {"amx": "AMX", "avx512_bf16": "AVX512-BF16", None: "no fast bf16"}[units] in words


def test_results_tell_what_they_rest_on():
    lines = environment.provenance({"seed": 3, "images": "ten"}).splitlines()
    assert lines[0].split() == ["seed", "3"]
    assert any(line.startswith("torch ") for line in lines)
    assert len({len(line) - len(line.split(maxsplit=1)[1]) for line in lines}) == 1, "one column"
