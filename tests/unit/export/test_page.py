"""Tests of the web pages: the contents of the file and, if Chromium is installed, their behavior."""

import json
import os
import re
import sys
from importlib import resources

import numpy as np
import pytest
import trimesh

from rasgan.errors import UserError
from rasgan.export import page
from rasgan.export.mesh_files import FORMATS
from rasgan.export.surface import surface_mesh

MIDDLE = 400, 300


def data_of(path):
    text = path.read_text(encoding="utf-8")
    return json.loads(re.search(r'<script id="data" type="application/json">(.*?)</script>', text, re.S)[1])


def test_sixteen_random_shapes_take_less_than_three_megabytes(tmp_path, rng):
    grids = [rng.random((64, 64, 64)) < 0.5 for _ in range(16)]
    page.write_page(tmp_path / "all.html", "noise", grids, [f"{i}" for i in range(16)])
    assert (tmp_path / "all.html").stat().st_size < 3e6


def test_the_page_contains_three_js_and_its_license_and_blocks_network_access(tmp_path, chair):
    page.write_page(tmp_path / "one.html", "chair", [chair], ["chair"])
    text = (tmp_path / "one.html").read_text(encoding="utf-8")
    assert re.search("SPDX-License-Identifier: MIT|threejs.org/license", text)  # of new and of old copies
    assert "default-src 'none'" in text
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=(?!\"data:,)", text)


def test_file_names_cannot_inject_html(tmp_path, chair):
    name = "</script><b>&\udcff\u2028"
    page.write_page(tmp_path / "odd.html", name, [chair], [name])
    assert data_of(tmp_path / "odd.html")["captions"] == [name]
    text = (tmp_path / "odd.html").read_text(encoding="utf-8")
    assert "<title>&lt;/script&gt;&lt;b&gt;&amp;?\u2028</title>" in text
    assert text.count("</script>") == 3


def test_the_bounding_box_contains_all_shapes():
    grids = [np.zeros((8, 8, 8), bool), np.zeros((4, 4, 4), bool)]
    assert page.common_box(grids) == [[0, 0, 0], [1, 1, 1]]
    grids[0][2, 0, 6] = grids[1][3, 1, 3] = True
    assert np.array(page.common_box(grids)).tolist() == [[0.25, 0, 0], [1, 0.5, 0.25]]


def test_an_unsupported_trimesh_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(resources, "files", lambda package: tmp_path)
    with pytest.raises(UserError, match=r"does not contain three\.js"):
        page.three_js()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if sys.platform == "win32":
        pytest.skip("Chromium is controlled over pipes, which Windows lacks")
    from tests.browser import Browser, find_chromium

    program = find_chromium()
    if program is None:
        assert "RASGAN_REQUIRE_CHROMIUM" not in os.environ
        pytest.skip("no Chromium here: apt-get install --no-install-recommends chromium")
    browser = Browser(program, tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


def shown(browser, shape=None):
    """Return the pixels that are not white, of the window or of the cell of one shape."""
    picture = browser.picture()
    if shape is not None:
        cell = f"document.querySelector('figure[data-shape=\"{shape}\"] div').getBoundingClientRect()"
        sides = f"(b => [b.left, b.top, b.right, b.bottom].map(Math.round))({cell})"
        left, top, right, bottom = browser.value(sides)
        picture = picture[top:bottom, left:right]
    return (picture < 250).any(axis=2)


@pytest.mark.browser
def test_a_shape_rotates_and_zooms_without_network_requests(tmp_path, chair, browser):
    page.write_page(tmp_path / "one.html", "chair", [chair], ["a chair"])
    browser.open(tmp_path / "one.html")
    before, area = browser.picture(), shown(browser, 0)
    assert 0.05 < area.mean() < 0.8
    assert not area[[0, -1]].any()
    browser.drag(MIDDLE, (520, 300))
    assert browser.value("azimuth") == pytest.approx(34 - 60)
    turned = browser.picture()
    assert (abs(turned - before).max(axis=2) > 30).mean() > 0.02
    browser.mouse("mouseWheel", *MIDDLE, deltaX=0, deltaY=-400)
    browser.drawn()
    assert shown(browser, 0).sum() > 1.5 * area.sum()
    assert browser.value("document.querySelector('figcaption').textContent") == "a chair"
    assert browser.value("[footer.hidden, viewButton.hidden]") == [True, True]
    assert browser.complaints == []
    assert browser.requests == [(tmp_path / "one.html").resolve().as_uri()]


@pytest.mark.browser
def test_the_surface_equals_that_of_the_mesh_files(tmp_path, rng, browser):
    """It equals the .glb mesh, which has the same axes, so it is not a mirror image."""
    grids = [rng.random((n, n, n)) < share for n, share in ((5, 0.5), (7, 0.2), (6, 1.0))]
    page.write_page(tmp_path / "odd.html", "odd", grids, ["a", "b", "c"])
    browser.open(tmp_path / "odd.html")
    for number, grid in enumerate(grids):
        made = browser.value(f"surface({number})")
        places, faces = np.reshape(made["places"], (-1, 3)), np.reshape(made["faces"], (-1, 3))
        vertices, ours = surface_mesh(grid, 1.0)
        rotation = FORMATS[".glb"].rotation
        vertices = vertices @ rotation.T + len(grid) * (rotation < 0).any(axis=1)
        drawn = trimesh.Trimesh(places, faces, process=False)
        assert drawn.volume == pytest.approx(grid.sum())
        normals = np.reshape(made["normals"], (-1, 3))[faces[:, 0]] / 127
        assert drawn.face_normals == pytest.approx(normals)
        assert squares_of(drawn) == pytest.approx(squares_of(trimesh.Trimesh(vertices, ours, process=False)))


def squares_of(mesh):
    """Return sorted centers and normals of the squares of a mesh, two triangles each: (f, 6)."""
    middles = mesh.triangles_center.reshape(-1, 2, 3).mean(axis=1)
    squares = np.hstack([middles, mesh.face_normals[::2]]).round(6) + 0.0
    return squares[np.lexsort(squares.T)]


@pytest.mark.browser
def test_a_film_has_a_slider_and_shows_all_shapes_side_by_side(tmp_path, browser):
    grids = np.zeros((3, 8, 8, 8), bool)
    grids[1, 2:6, :2, 2:6] = grids[2, 2:6, :7, 2:6] = True
    page.write_page(tmp_path / "film.html", "film", grids, ["epoch 1", "epoch 2", "epoch 3"], is_film=True)
    browser.open(tmp_path / "film.html")
    caption = "[...document.querySelectorAll('figcaption')].map(each => each.textContent)"
    assert browser.value(caption) == ["epoch 3"]
    tall = shown(browser, 2).sum()
    browser.value("slider.value = 1; slider.oninput()")
    browser.drawn()
    assert browser.value(caption) == ["epoch 2"]
    assert 0 < shown(browser, 1).sum() < tall
    browser.click("#play")
    until = "setInterval(() => slider.value != 1 && (clearInterval(timer), done('moved')), 20)"
    assert browser.value(f"new Promise(done => {{ const timer = {until} }})") == "moved"
    browser.click("#play")
    browser.click("#view")
    assert browser.value(caption) == ["epoch 1", "epoch 2", "epoch 3"]
    low, half, high = (shown(browser, shape).sum() for shape in range(3))
    assert low == 0 < half < high
    middle = "(b => [b.x + b.width / 2, b.y + b.height / 2])(main.children[1].getBoundingClientRect())"
    x, y = browser.value(middle)
    for count in (1, 2):
        for kind in ("mousePressed", "mouseReleased"):
            browser.mouse(kind, x, y, button="left", clickCount=count)
    browser.drawn()
    assert browser.value(caption) == ["epoch 2"]
    assert browser.complaints == []
    assert len(browser.requests) == 1
