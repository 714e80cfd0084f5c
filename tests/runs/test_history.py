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


def semicolons(text):
    return text.replace(",", ";").replace(".", ",")


SPREADSHEETS = {
    "byte order mark": lambda text: text.encode("utf-8-sig"),
    "semicolons": lambda text: text.replace(",", ";").encode(),
    "decimal commas": lambda text: semicolons(text).encode("utf-8-sig"),
    "tabs": lambda text: text.replace(",", "\t").encode(),
    "UTF-16": lambda text: text.replace(",", "\t").encode("utf-16"),
    "other lines": lambda text: text.replace("\r\n", "\n").encode(),
    "quotes": lambda text: text.replace("g_loss", '"g_loss"').encode(),
}


@pytest.mark.parametrize("saved", SPREADSHEETS.values(), ids=SPREADSHEETS)
def test_what_a_spreadsheet_saved_is_read_and_goes_on(history, saved, caplog):
    history.path.write_bytes(saved(history.path.read_bytes().decode()))
    assert history.table()["g_loss"].tolist() == [0.25, 0.5, 0.75]
    history.append({"epoch": 4, "g_loss": 1.5})
    assert history.table()["epoch"].tolist() == [1, 2, 3, 4]
    assert history.table()["g_loss"].tolist() == [0.25, 0.5, 0.75, 1.5]
    history.forget_after(2)
    assert history.table()["g_loss"].tolist() == [0.25, 0.5]
    assert history.path.read_bytes().startswith(b"epoch,g_loss\r\n1,")
    assert not caplog.messages


def test_a_folder_in_the_place_of_the_history_is_reported(tmp_path):
    (tmp_path / "history.csv").mkdir()
    history = History(tmp_path / "history.csv")
    with pytest.raises(WorkbookError, match="cannot be read"):
        history.table()
    with pytest.raises(WorkbookError, match="is a folder: rename or remove it"):
        history.append({"epoch": 1})
