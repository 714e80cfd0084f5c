import pandas as pd
import pytest
from helpers import assert_drawn
from test_benchmark import table

from dcgan_utils.plots import study


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "by_batch", [{64: table()}, {128: table(), 64: table(ours=(25, 41))}], ids=["one", "two"]
)
def test_turns_are_drawn_with_their_ratios(by_batch):
    figure = study.benchmark_turns(by_batch)
    assert_drawn(figure)
    assert "at batch 64 the workbook, bf16, is" in figure.get_label()
    assert "3.5 times (3.0 to 4.0)" in study.benchmark_turns({64: table()}).get_label()


@pytest.mark.filterwarnings("error")
def test_a_profile_is_drawn():
    spent = pd.Series({"convolutions, backward": 75.0, "BatchNorm": 25.0}, name="milliseconds")
    figure = study.step_profile(spent)
    assert_drawn(figure)
    assert "convolutions, backward 75%, BatchNorm 25%" in figure.get_label()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("epochs", [1, 5])
def test_memory_is_drawn(epochs):
    weighed = pd.DataFrame({"epoch": range(1, epochs + 1), "memory": 9e8, "peak": 1e9})
    figure = study.memory_over_epochs(weighed)
    assert_drawn(figure)
    assert "900 MB after the last" in figure.get_label()
