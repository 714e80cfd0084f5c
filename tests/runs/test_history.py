import logging

import pytest

from dcgan_utils.core.errors import WorkbookError
from dcgan_utils.runs.run import History


@pytest.fixture
def history(tmp_path):
    """Return a history of three epochs."""
    history = History(tmp_path / "history.csv")
    for epoch in (1, 2, 3):
        history.append({"epoch": epoch, "g_loss": epoch / 4})
    return history


def test_rows_come_back_as_numbers(history):
    table = history.table()
    assert table["epoch"].tolist() == [1, 2, 3]
    assert table["g_loss"].tolist() == [0.25, 0.5, 0.75]


def test_a_file_that_is_not_there_is_an_empty_history(tmp_path):
    assert History(tmp_path / "none.csv").table().empty


def test_epochs_are_forgotten_from_one_on(history):
    history.forget_after(2)
    assert history.table()["epoch"].tolist() == [1, 2]
    history.forget_after(0)
    assert not history.path.exists()


def test_half_a_last_row_is_left_out_and_a_lost_one_is_reported(history, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("dcgan_utils"), "propagate", True)
    whole = history.path.read_text()
    history.path.write_text(whole + "4,0.")
    assert history.table()["epoch"].tolist() == [1, 2, 3, 4]
    history.path.write_text(whole + "4")
    assert history.table()["epoch"].tolist() == [1, 2, 3]
    assert not caplog.messages
    history.path.write_text(whole.replace("0.5", "zero"))
    assert history.table()["epoch"].tolist() == [1, 3]
    assert "1 lines" in caplog.text


def test_a_lost_header_is_refused(history):
    history.path.write_text("1,0.25\n2,0.5\n")
    with pytest.raises(WorkbookError, match="damaged from its first line on"):
        history.table()
