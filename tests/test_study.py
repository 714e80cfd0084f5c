import pytest

from dcgan_utils.errors import WorkbookError
from dcgan_utils.runs import Run
from dcgan_utils.study import label_runs, summary


@pytest.fixture
def make(tiny, collection):
    def make(epochs=2, **changes):
        run = Run.create(tiny(epochs=epochs, **changes), collection)
        for epoch in range(1, epochs + 1):
            names = ("d_loss_real", "d_loss_fake", "g_loss", "d_real", "d_fake", "sample_spread")
            run.log_epoch({"epoch": epoch} | dict.fromkeys(names, epoch / 10) | {"seconds": 60})
        return run

    return make


def test_runs_are_named_after_their_noise(make):
    runs = [make(noise="uniform"), make(noise="gamma")]
    assert list(label_runs(runs)) == ["U(-1, 1)", "Gamma(2, 1)"]


def test_what_differs_joins_the_name_where_the_noise_does_not_tell(make):
    runs = [make(noise="gamma"), make(noise="gamma", seed=1)]
    assert list(label_runs(runs)) == ["Gamma(2, 1), seed 0", "Gamma(2, 1), seed 1"]


def test_a_run_that_has_not_begun_cannot_be_compared(tiny, collection, make):
    with pytest.raises(WorkbookError, match="no complete epoch"):
        label_runs([make(), Run.create(tiny(seed=9), collection)])


def test_summary_averages_the_last_tenth(make):
    table = summary(label_runs([make(noise="gamma", epochs=20), make(noise="N(1, 4)")]))
    gamma = table.loc["Gamma(2, 1)"]
    assert gamma["|mean| / std"] == pytest.approx(2**0.5)
    assert gamma["loss of G"] == pytest.approx(1.95)
    assert gamma["loss of D"] == pytest.approx(3.9)
    assert gamma["minutes"] == 20
    assert table.loc["N(1, 4)", "std"] == 2
    assert table.loc["N(1, 4)", "spread"] == pytest.approx(0.2)
