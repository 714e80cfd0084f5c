import pytest

from dcgan_utils.core import progress


def test_each_step_is_told_once_it_is_done(heard):
    seen = []
    for item in progress.steps("abc", "letters", of=3):
        seen.append((item, heard[-1]))
    assert seen == [(letter, ("letters", done, 3)) for done, letter in enumerate("abc")]
    assert heard[-1] == ("letters", 3, 3)


def test_work_within_work_is_part_of_its_steps(heard):
    for _ in progress.steps(range(2), "outer", of=2):
        with progress.announced("inner", of=5) as advance:
            advance(5)
    assert [what for what, *_ in heard] == ["outer"] * 3


def test_after_an_error_the_next_work_is_told_again(heard):
    with pytest.raises(KeyError) as kept:  # the traceback is kept, as in a notebook
        for item in progress.steps("ab", "first", of=2):
            raise KeyError(item)
    with progress.announced("second", of=1) as advance:
        advance(1)
    assert kept and heard == [("first", 0, 2), ("second", 0, 1), ("second", 1, 1)]


def test_nobody_need_listen():
    with progress.announced("work", of=2) as advance:
        advance(2)
    assert list(progress.steps("ab", "letters", of=2)) == ["a", "b"]
