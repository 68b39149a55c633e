"""The training loop: take steps, and write results after each epoch."""

import math

import numpy as np

from rasgan.export import plots
from rasgan.metrics import quick_scores
from rasgan.training import distributed
from rasgan.training.config import Intervals
from rasgan.training.history import add_scores, save_history
from rasgan.training.progress import Reporter
from rasgan.training.run import SCORED, TrainingRun
from rasgan.training.signals import StopRequest
from rasgan.training.step import StepResult
from rasgan.voxel_io import write_npy
from rasgan.voxels import is_occupied


def fit(run: TrainingRun, intervals: Intervals, reporter: Reporter, stop: StopRequest) -> bool:
    """Train until the run is over; on a request to stop, save a checkpoint and return False."""
    while not run.is_over:
        result = run.step(stop.is_made)
        reporter.step(run)
        # of several processes all must stop at the same step: where each knows of it from the others
        stopping = stop.is_made if distributed.world_size() == 1 else result.is_last
        if run.position.step == 0:
            if change := run.end_epoch():
                reporter.say(change)
            if distributed.is_rank_0():
                write_results(run, intervals, result, reporter)
            reporter.end_epoch(run)
        if stopping and not run.is_over:
            if distributed.is_rank_0():
                run.save()
            return False
    return True


def write_results(run: TrainingRun, intervals: Intervals, result: StepResult, reporter: Reporter) -> None:
    """Write what is due after an epoch, and after the last epoch everything.

    The checkpoint is last, so that a run killed in between writes the rest again.
    """
    epoch, folder = run.position.epoch, run.folder

    def is_due(interval: int) -> bool:
        return interval > 0 and (epoch % interval == 0 or run.is_over)

    if is_due(intervals.sample) or is_due(intervals.graph3d):
        turn = math.ceil(epoch / (intervals.sample or intervals.graph3d))  # the last epoch has its own
        grid = run.sample(result.fakes, turn)
    if is_due(intervals.sample):
        write_npy(folder.grid(epoch), grid)
        write_npy(folder.film / f"{epoch}.npy", is_occupied(run.generate(0, 1)[0]))  # of the same z always
        reporter.sample(run, grid)
    if is_due(intervals.graph):
        draw_losses(run)
    if is_due(intervals.score):
        scores = quick_scores(run.generate(0, SCORED), run.shapes.occupied)
        add_scores(folder.scores, epoch, scores)
        reporter.scores(run, scores)
    if is_due(intervals.graph3d):
        plots.draw_scatter(folder.graphs / f"{epoch}.png", grid, title=folder.title(epoch))
    if is_due(intervals.save):
        run.save()


def draw_losses(run: TrainingRun) -> None:
    """Draw the loss curves so far and write the tracked values beside them."""
    save_history(run.folder.plots, run.history)
    run.history.write(run.folder.history)
    columns = run.history.columns()
    plots.draw_losses(
        run.folder.plots / f"{run.position.epoch}.png",
        columns["epoch"],
        columns["loss_d"],
        columns["loss_g"],
        columns["loss_validation"] if run.validation is not None else None,
        np.stack([columns["generator_learning_rate"], columns["discriminator_learning_rate"]], axis=1),
    )
