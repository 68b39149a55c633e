"""Run tasks in several processes, which all end when the command ends, however it ends."""

import concurrent.futures.process
import multiprocessing.connection
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

from rasgan.errors import UserError

Task = TypeVar("Task")
Result = TypeVar("Result")


def count_processes(wanted: int | None, tasks: int) -> int:
    """Return how many processes to start: `wanted`, or one per core, and at most one per task."""
    most = 61 if sys.platform == "win32" else 1024  # Windows cannot wait for more
    if wanted is None:
        has_affinity = hasattr(os, "sched_getaffinity")  # which may be fewer than the machine has
        wanted = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
    return min(wanted, tasks, most)


def run_tasks(work: Callable[[Task], Result], tasks: list[Task], processes: int) -> Iterator[Result]:
    """Yield ``work(task)`` for every task, in the order of completion.

    If `processes` is more than one, they are spawned: `work` must be picklable, and the script needs the
    usual ``if __name__ == "__main__"`` guard. After an exception, Ctrl-C included, or if this generator is
    closed early, no process and no partial file remains. Raises UserError if a process was killed.
    """
    if processes <= 1:
        yield from map(work, tasks)
        return
    bystanders = set(multiprocessing.active_children())
    pool = concurrent.futures.ProcessPoolExecutor(
        processes, mp_context=multiprocessing.get_context("spawn"), initializer=_become_worker
    )
    try:
        futures = [pool.submit(_work_until_asked_to_end, work, task) for task in tasks]
        for done in concurrent.futures.as_completed(futures):
            yield done.result()
    except concurrent.futures.process.BrokenProcessPool as error:
        raise UserError(
            "A worker process was killed, probably because memory ran out; close other programs.",
            about="memory",
        ) from error
    except BaseException:  # including GeneratorExit, if it is closed early
        for worker in set(multiprocessing.active_children()) - bystanders:
            worker.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _become_worker() -> None:
    """Leave Ctrl-C to the parent; clean up and exit if the parent asks for it or has ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    multiprocessing.connection.wait([multiprocessing.parent_process().sentinel])
    os.kill(os.getpid(), signal.SIGTERM)


def _work_until_asked_to_end(work: Callable[[Task], Result], task: Task) -> Result:
    try:
        return work(task)
    except SystemExit:  # from the SIGTERM handler, after temporary files were removed
        os._exit(1)  # the pool would catch SystemExit and send the next task
