"""Tests of the mesh files: axes, units and positions as trimesh reads them."""

import zipfile
from xml.etree import ElementTree

import numpy as np
import pytest
import trimesh

from rasgan.export.mesh_files import FORMATS, write_model, write_obj
from rasgan.export.surface import surface_mesh

SUFFIXES = sorted(FORMATS)
SPONGE = np.random.default_rng(5).random((32, 32, 32)) < 0.5
SIDE = 5


@pytest.fixture
def bar():
    """Return a grid with an off-center bar: 1 voxel along axis 0, 3 along axis 1 (up), 2 along axis 2."""
    occupied = np.zeros((SIDE, SIDE, SIDE), bool)
    occupied[0, 1:4, 3:5] = True
    return occupied


def write(path, occupied, longest_mm=None):
    return write_model(path, *surface_mesh(occupied), 0.01 * len(occupied), longest_mm)


def load(path):
    if path.suffix == ".3mf":
        return load_3mf(path)
    # Vertices are merged only for .stl, which contains separate triangles.
    return trimesh.load(path, force="mesh", process=path.suffix == ".stl")


def load_3mf(path):
    """Read the parts of a package by its relationships."""
    core = "{http://schemas.microsoft.com/3dmanufacturing/core/2015/02}"
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        (link,) = ElementTree.fromstring(archive.read("_rels/.rels"))
        types = {
            each.get("Extension") for each in ElementTree.fromstring(archive.read("[Content_Types].xml"))
        }
        model = ElementTree.fromstring(archive.read(link.get("Target").removeprefix("/")))
    assert types == {"rels", "model"}
    assert model.get("unit") == "millimeter"
    (item,), (thing,) = model.iter(f"{core}item"), model.iter(f"{core}object")
    assert item.get("objectid") == thing.get("id")
    vertices = [[float(each.get(axis)) for axis in "xyz"] for each in model.iter(f"{core}vertex")]
    faces = [[int(each.get(f"v{n}")) for n in (1, 2, 3)] for each in model.iter(f"{core}triangle")]
    return trimesh.Trimesh(vertices, faces, process=False)


@pytest.mark.parametrize(
    ("suffix", "low", "high"),
    [
        (".obj", [4, 1, 3], [5, 4, 5]),  # as in the original, but axis 0 reversed
        (".stl", [0, 3, 1], [1, 5, 4]),  # x, y, z = axes 0, 2, 1: the mesh that was voxelized
        (".ply", [0, 3, 1], [1, 5, 4]),
        (".3mf", [0, 3, 1], [1, 5, 4]),
        (".glb", [0, 1, 0], [1, 4, 2]),  # y up; low axis 2, the front, at high z
    ],
)
def test_each_format_has_its_axes_in_the_same_box(bar, tmp_path, suffix, low, high):
    assert write(tmp_path / f"bar{suffix}", bar) == pytest.approx({".glb": 30, ".3mf": 80}.get(suffix, 0.03))
    low, high = np.array([low, high]) * 0.01
    if suffix == ".3mf":  # 80 mm long, from the origin
        low, high = 0 * low, (high - low) * 80 / 0.03
    assert load(tmp_path / f"bar{suffix}").bounds == pytest.approx(np.array([low, high]), abs=1e-6)


@pytest.mark.parametrize(
    ("suffix", "millimeter"), [(".obj", 1), (".stl", 1), (".ply", 1), (".3mf", 1), (".glb", 0.001)]
)
def test_size_is_the_longest_side_and_starts_at_the_origin(bar, tmp_path, suffix, millimeter):
    assert write(tmp_path / f"bar{suffix}", bar, longest_mm=60) == 60
    low, high = load(tmp_path / f"bar{suffix}").bounds
    assert low == pytest.approx([0, 0, 0], abs=1e-9)
    up = "xyz".index("y" if suffix in (".obj", ".glb") else "z")
    expected = np.insert([20.0, 40.0], up, 60.0)  # 1, 2 and 3 voxels
    assert high == pytest.approx(expected * millimeter, rel=1e-6)


CASES = [(suffix, SPONGE) for suffix in SUFFIXES if suffix != ".stl"]  # whose vertices are merged at edges


@pytest.mark.parametrize(("suffix", "occupied"), [*CASES, (".stl", np.ones((1, 1, 1), bool))])
def test_the_mesh_is_closed_faces_outwards_and_has_the_volume_of_the_voxels(suffix, occupied, tmp_path):
    write(tmp_path / f"model{suffix}", occupied, longest_mm=1000 * len(occupied))  # 1 m a voxel
    mesh = load(tmp_path / f"model{suffix}")
    assert mesh.is_watertight
    assert mesh.is_winding_consistent
    meter = 1000 / FORMATS[suffix].millimeters
    assert mesh.volume == pytest.approx(occupied.sum() * meter**3, rel=1e-5)


def test_obj_files_preserve_nine_digits(tmp_path, rng):
    vertices, faces = rng.standard_normal((60, 3)), rng.integers(0, 60, (110, 3))
    write_obj(tmp_path / "a.obj", vertices, faces)
    read = [line.split() for line in (tmp_path / "a.obj").read_text(encoding="ascii").splitlines()]
    assert np.array([row[1:] for row in read[:60]], float) == pytest.approx(vertices, rel=1e-8)
    assert np.array_equal(np.array([row[1:] for row in read[60:]], int) - 1, faces)


def test_3mf_files_are_reproducible_and_readable_by_trimesh(bar, tmp_path):
    for name in ("a.3mf", "b.3mf"):
        write(tmp_path / name, bar, 30)
    assert (tmp_path / "a.3mf").read_bytes() == (tmp_path / "b.3mf").read_bytes()
    pytest.importorskip("lxml", reason="trimesh reads .3mf with lxml and networkx")
    pytest.importorskip("networkx", reason="trimesh reads .3mf with lxml and networkx")
    mesh = trimesh.load(tmp_path / "a.3mf", force="mesh")
    assert mesh.is_watertight
    assert mesh.extents.max() == pytest.approx(30)


def test_glb_files_have_a_material_that_is_not_metal(bar, tmp_path):
    write(tmp_path / "bar.glb", bar)
    assert load(tmp_path / "bar.glb").visual.material.metallicFactor == 0
