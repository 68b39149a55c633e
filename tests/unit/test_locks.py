"""A lock keeps other processes out and goes with its holder."""

import subprocess
import sys
from pathlib import Path

import pytest

from rasgan import locks
from rasgan.errors import UserError

HOLD = """
import sys
from pathlib import Path
from rasgan import locks
with locks.exclusive(Path(sys.argv[1]), "busy"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_only_one_process_holds_it_and_a_killed_one_lets_go(tmp_path):
    path = tmp_path / "folder" / ".lock"
    command = [sys.executable, "-c", HOLD, str(path)]
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(UserError, match="busy"), locks.exclusive(path, "busy"):
            pytest.fail("two hold the lock")
        assert path.exists()
        holder.kill()
    with locks.exclusive(path, "busy"):
        pass
    assert not path.exists()


def test_it_goes_after_an_exception_too(tmp_path):
    path = tmp_path / ".lock"
    with pytest.raises(ValueError, match="mine"), locks.exclusive(path, "busy"):
        raise ValueError("mine")
    assert not path.exists()


def test_a_lock_file_that_its_holder_removed_meanwhile_is_not_taken_for_held(tmp_path, monkeypatch):
    path = tmp_path / ".lock"
    monkeypatch.setattr(locks, "_lock", lambda descriptor: path.unlink())
    with pytest.raises(UserError, match="busy"), locks.exclusive(path, "busy"):
        pytest.fail("a nameless lock keeps nobody out")


def test_without_locks_in_the_file_system_it_goes_on(tmp_path, monkeypatch):
    def refuse(descriptor):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(locks, "_lock", refuse)
    with locks.exclusive(tmp_path / ".lock", "busy"):
        pass
