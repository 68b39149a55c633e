"""The measurements of training: against others' networks, and of its start."""

import pytest
import torch

from benchmarks.speed import peers, start
from rasgan.networks import LATENT_SIZE


def rows_of(text):
    return [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]


@pytest.mark.parametrize("channels", [(16, 8, 4, 2), (8, 4, 2)])
def test_their_networks_make_shapes_and_probabilities(channels):
    generator, discriminator = peers.their_networks(channels)
    shapes = generator(torch.randn(2, LATENT_SIZE, 1, 1, 1))
    scores = discriminator(shapes)
    assert (shapes.shape, scores.numel()) == ((2, 1, 32, 32, 32), 2)
    assert all(((x > 0) & (x < 1)).all() for x in (shapes, scores))


def test_peers_prints_a_row_for_every_case(monkeypatch, capsys):
    monkeypatch.setattr(peers, "QUICK", (peers.Case((16, 8, 4, 4), 2), peers.Case((8, 4, 4), 2)))
    assert peers.main(["--quick", "--device", "cpu"]) == 0
    _, *rows = rows_of(capsys.readouterr().out)
    assert [row[:2] for row in rows] == [["16-8-4-4", "2"], ["8-4-4", "2"]]
    assert all(float(row[4]) == pytest.approx(float(row[2]) / float(row[3]), rel=0.02) for row in rows)


def test_start_prints_a_row_for_every_number_of_grids(capsys):
    assert start.main(["--counts", "5", "--resolution", "32"]) == 0
    _, (count, *figures) = rows_of(capsys.readouterr().out)
    assert count == "5"
    assert all(float(figure) > 0 for figure in figures[:4])
