"""Run tasks in several processes, which all end when the command ends, however it ends."""

import concurrent.futures.process
import multiprocessing.connection
import os
import signal
import sys
import threading
import time
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
        workers = set(multiprocessing.active_children()) - bystanders
        while workers:  # a signal that arrives just before a worker starts to wait for a task has no effect
            for worker in workers:
                worker.terminate()
            multiprocessing.connection.wait([worker.sentinel for worker in workers], timeout=0.2)
            workers = {worker for worker in workers if worker.is_alive()}
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _become_worker() -> None:
    """Leave Ctrl-C to the parent; clean up and exit if the parent asks for it or has ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(1))  # between tasks there is nothing to clean up
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    multiprocessing.connection.wait([multiprocessing.parent_process().sentinel])
    while True:  # as in `run_tasks`
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.2)


def _work_until_asked_to_end(work: Callable[[Task], Result], task: Task) -> Result:
    try:
        between_tasks = signal.signal(signal.SIGTERM, _clean_up)
        try:
            return work(task)
        finally:
            signal.signal(signal.SIGTERM, between_tasks)
    except SystemExit:  # from `_clean_up`; the pool would catch it and send the next task
        os._exit(1)


def _clean_up(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(1)  # temporary files are removed by the task's context managers
