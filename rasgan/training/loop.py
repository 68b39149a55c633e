"""The epochs of a run: the step, then the chores that are due."""

import math

from rasgan.export import plots
from rasgan.training import distributed
from rasgan.training.config import Intervals
from rasgan.training.progress import Reporter
from rasgan.training.run import TrainingRun
from rasgan.training.signals import StopRequest
from rasgan.training.step import StepResult


def fit(run: TrainingRun, intervals: Intervals, reporter: Reporter, stop: StopRequest) -> bool:
    """Train until the run is over; on a request to stop, save where it stands and return False."""
    while not run.is_over:
        result = run.step(stop.is_made)
        reporter.step(run)
        # of several processes all must stop at the same step: where each knows of it from the others
        stopping = stop.is_made if distributed.world_size() == 1 else result.is_last
        if run.position.step == 0:
            finish_epoch(run, intervals, result, reporter)
        if stopping and not run.is_over:
            if distributed.is_rank_0():
                run.save()
            return False
    return True


def finish_epoch(run: TrainingRun, intervals: Intervals, result: StepResult, reporter: Reporter) -> None:
    """Follow the schedule and write what is due after an epoch; after the last one, everything."""
    if change := run.end_epoch():
        reporter.say(change)
    if distributed.is_rank_0():
        write_results(run, intervals, result, reporter)
    reporter.end_epoch(run)


def write_results(run: TrainingRun, intervals: Intervals, result: StepResult, reporter: Reporter) -> None:
    """Write what is due; the checkpoint last, so that a run killed in between writes the rest again."""
    epoch = run.position.epoch

    def is_due(interval: int) -> bool:
        return interval > 0 and (epoch % interval == 0 or run.is_over)

    if is_due(intervals.sample) or is_due(intervals.graph3d):
        turn = math.ceil(epoch / (intervals.sample or intervals.graph3d))  # the last epoch has its own
        grid = run.sample(result.fakes, turn)
    if is_due(intervals.sample):
        run.save_grid(grid)
        reporter.sample(run, grid)
    if is_due(intervals.graph):
        run.draw_losses()
    if is_due(intervals.score):
        reporter.scores(run, run.score())
    if is_due(intervals.graph3d):
        plots.draw_scatter(run.folder.graphs / f"{epoch}.png", grid, title=run.folder.title(epoch))
    if is_due(intervals.save):
        run.save()
