"""The training loop: take steps, and write results after each epoch."""

import math

from rasgan.export import plots
from rasgan.metrics import quick_scores
from rasgan.training import checkpoints, distributed, launcher
from rasgan.training.config import Intervals
from rasgan.training.history import add_scores, draw_history
from rasgan.training.progress import SCORED, Reporter
from rasgan.training.run import TrainingRun
from rasgan.training.signals import StopRequest
from rasgan.training.step import StepResult
from rasgan.voxel_io import write_npy
from rasgan.voxels import is_occupied


def fit(run: TrainingRun, intervals: Intervals, reporter: Reporter, stop: StopRequest) -> bool:
    """Train until the run is over; on a request to stop, save a checkpoint and return False."""
    while not run.is_over:
        result = run.step(stop.is_made)
        reporter.step(run)
        # A signal may reach several processes at different steps: `is_last` is the same in all of them.
        is_stopping = stop.is_made if distributed.world_size() == 1 else result.is_last
        if run.position.step == 0:
            if change := run.end_epoch():
                reporter.say(change)
            if launcher.rank() == 0:
                write_results(run, intervals, result, reporter)
            reporter.end_epoch(run)
        if is_stopping and not run.is_over:
            if launcher.rank() == 0:
                save(run)
            return False
    return True


def write_results(run: TrainingRun, intervals: Intervals, result: StepResult, reporter: Reporter) -> None:
    """Write what is due after an epoch, and after the last epoch everything.

    The checkpoint is last, so that a run that is killed before it writes the rest again.
    """
    epoch, folder = run.position.epoch, run.folder

    def is_due(interval: int) -> bool:
        return interval > 0 and (epoch % interval == 0 or run.is_over)

    if is_due(intervals.sample) or is_due(intervals.graph3d):
        turn = math.ceil(epoch / (intervals.sample or intervals.graph3d))  # the last epoch has its own
        grid = run.sample(result.fakes, turn)
    if is_due(intervals.sample):
        write_npy(folder.grid(epoch), grid)
        write_npy(folder.film / f"{epoch}.npy", is_occupied(run.generate(0, 1)[0]))  # always the same z
    if is_due(intervals.graph):
        run.history.write(folder.history)
        draw_history(folder.plots, epoch, run.history)
    if is_due(intervals.score):
        scores = quick_scores(run.generate(0, SCORED), run.shapes.occupied)
        add_scores(folder.scores, epoch, scores)
        reporter.scores(run, scores)
    if is_due(intervals.graph3d):
        plots.draw_scatter(folder.graphs / f"{epoch}.png", grid, title=folder.title(epoch))
    if is_due(intervals.save):
        save(run)


def save(run: TrainingRun) -> None:
    """Write the history up to now, and a checkpoint."""
    run.history.write(run.folder.history)
    checkpoints.save_checkpoint(run.folder.checkpoints, run.checkpoint())
