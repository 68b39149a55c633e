"""The figure of the networks."""

import pytest

from benchmarks.draw import network
from benchmarks.draw.network import layer_shapes


def test_layer_shapes_are_those_of_the_tutorial():
    assert layer_shapes(64, 512) == [(512, 4), (256, 8), (128, 16), (64, 32), (1, 64)]
    assert layer_shapes(32, 48) == [(48, 4), (24, 8), (12, 16), (1, 32)]


@pytest.mark.parametrize("resolution", [4, 48, 63, 0])
def test_layer_shapes_refuse_other_resolutions(resolution):
    with pytest.raises(ValueError, match=str(resolution)):
        layer_shapes(resolution, 512)


def test_the_command_draws_a_figure_that_names_every_layer(tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(network, "save_figure", lambda figure, path, colors: shown.append((figure, path)))
    assert network.main([str(tmp_path / "network.png")]) == 0
    ((figure, path),) = shown
    assert path == tmp_path / "network.png"
    texts = [text.get_text() for text in figure.axes[0].texts]
    for channels, edge in network.layer_shapes(64, 512):
        caption = f"{channels} channel{'s' * (channels > 1)}\n{edge} × {edge} × {edge}"
        assert texts.count(caption) == 2  # once in each network
    assert "z\n200" in texts
    assert "Generator" in texts
    assert "Discriminator" in texts
