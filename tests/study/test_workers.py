import pytest

from dcgan_utils.core.errors import WorkbookError
from dcgan_utils.study.schedule import connect, divide_machine, local_cluster


@pytest.mark.parametrize(
    ("cores", "memory", "runs", "expected"),
    [
        (2, 16e9, 24, (2, 1)),
        (16, 100e9, 3, (3, 5)),
        (8, 4e9, 24, (2, 4)),
        (1, 0.5e9, 5, (1, 1)),
    ],
)
def test_a_machine_is_divided_among_workers(cores, memory, runs, expected):
    assert divide_machine(cores, memory, runs) == expected


@pytest.mark.slow
def test_a_cluster_of_this_machine_listens_to_this_machine_alone():
    import psutil

    with local_cluster(tasks=1, workers=1) as address, connect(address) as client:
        assert address.startswith("tcp://127.0.0.1:")
        assert client.dashboard_link.startswith("http://127.0.0.1:")
        family = [psutil.Process(), *psutil.Process().children(recursive=True)]
        heard = [c.laddr.ip for p in family for c in p.net_connections() if c.status == "LISTEN"]
        assert len(heard) >= 3
        assert set(heard) == {"127.0.0.1"}


def test_too_little_shared_memory_for_workers_is_reported_at_once(monkeypatch):
    def full():
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("multiprocessing.Lock", full)
    with pytest.raises(WorkbookError, match="--shm-size=1g"), local_cluster(1):
        pass
