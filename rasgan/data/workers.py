"""Work in several processes, which all end when the command ends, however it ends."""

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
    """Return how many processes to start: `wanted`, or one a core; at most one a task."""
    most = 61 if sys.platform == "win32" else 1024  # Windows waits for no more at a time; Python refuses them
    if wanted is None:
        has_affinity = hasattr(os, "sched_getaffinity")  # the cores that this process may run on
        wanted = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
    return min(wanted, tasks, most)


def run_tasks(work: Callable[[Task], Result], tasks: list[Task], processes: int) -> Iterator[Result]:
    """Yield ``work(task)`` of every task as they are done, in any order.

    With more than one of `processes`, so many are spawned: `work` must be picklable, and the script needs the
    usual ``if __name__ == "__main__"`` guard. No process and no half-written file is left, also where this
    is closed early or an exception, Ctrl-C included, ends it. UserError if a process was killed.
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
            "A worker process was killed, as happens when memory runs out; close other programs.",
            about="memory",
        ) from error
    except BaseException:  # GeneratorExit too, when this is closed early
        for worker in set(multiprocessing.active_children()) - bystanders:
            worker.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _become_worker() -> None:
    """Leave Ctrl-C to the parent; end, and tidy up, when the parent asks for it or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    multiprocessing.connection.wait([multiprocessing.parent_process().sentinel])
    os.kill(os.getpid(), signal.SIGTERM)


def _work_until_asked_to_end(work: Callable[[Task], Result], task: Task) -> Result:
    try:
        return work(task)
    except SystemExit:  # from the SIGTERM handler: temporary files are gone by now
        os._exit(1)  # the pool would catch SystemExit and send the next task
