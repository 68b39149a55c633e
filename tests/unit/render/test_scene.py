"""Tests of scene.py without Blender: the camera, the lamp and colors."""

import numpy as np
import pytest

import scene


def camera(azimuth=50.0, elevation=30.0, tilt=0.0, distance=2.0):
    return np.array(scene.camera_matrix(azimuth, elevation, tilt, distance))


ANGLES = [(0, 0, 0), (50, 30, 0), (-140, -20, 35), (10, 90, 0), (200, -90, 15), (400, 30, -725)]


@pytest.mark.parametrize(("azimuth", "elevation", "tilt"), ANGLES)
def test_the_camera_looks_at_the_origin_from_the_distance(azimuth, elevation, tilt):
    matrix = camera(azimuth, elevation, tilt, 1.7)
    rotation, position = matrix[:3, :3], matrix[:3, 3]
    assert rotation.T @ rotation == pytest.approx(np.eye(3))
    assert np.linalg.det(rotation) == pytest.approx(1)
    assert position == pytest.approx(1.7 * rotation[:, 2])
    assert matrix[3] == pytest.approx([0, 0, 0, 1])


def test_the_angles_have_the_documented_directions():
    assert camera(0, 0)[:3, 3] == pytest.approx([2, 0, 0])
    assert camera(90, 0)[:3, 3] == pytest.approx([0, 2, 0])
    assert camera(90, 90)[:3, 3] == pytest.approx([0, 0, 2])
    assert camera(275, 30)[2, 0] == pytest.approx(0)  # the horizon is level
    assert camera(275, 30)[2, 1] > 0
    assert (camera(tilt=30)[:3, :3].T @ [0, 0, 1])[0] > 0  # a clockwise rotation moves up to the right


@pytest.mark.parametrize("angle", [0, 90, -37.5, 360])
def test_the_lamp_moves_with_the_camera(angle):
    before, after = camera(azimuth=50)[:3, 3], camera(azimuth=50 + angle)[:3, 3]
    assert scene.turned(before, angle) == pytest.approx(after)


def box(*sides):
    return [tuple(corner) for corner in (np.indices((2, 2, 2)).reshape(3, 8).T - 0.5) * sides]


def job(*azimuths, elevation=30.0, tilt=0.0, distance=None):
    return {"azimuths": azimuths, "view": (elevation, tilt), "distance": distance}


@pytest.mark.parametrize("sides", [(1, 1, 1), (0.001, 80, 3), (5, 0, 0)])
@pytest.mark.parametrize("azimuths", [(50,), (0, 90, 180, 270)])
def test_at_the_fitting_distance_every_corner_is_just_inside_the_picture(sides, azimuths):
    corners = np.array(box(*sides))
    asked = job(*azimuths, elevation=-20, tilt=15)
    distance = scene.fitting_distance(corners, asked)
    reaches = []
    for azimuth in azimuths:
        matrix = np.array(scene.camera_matrix(azimuth, -20, 15, distance))
        right, up, back = matrix[:3, :3].T @ (corners - matrix[:3, 3]).T
        assert (back < 0).all()
        half = 0.5 * scene.SENSOR_MM / scene.LENS_MM
        reaches.append(np.max(np.abs([right, up]) / (-back * half)))
    assert max(reaches) == pytest.approx(scene.FILL)


@pytest.mark.parametrize(
    ("asked", "longest", "expected"),
    [
        (None, 0.64, 2.0),  # the tutorial's own models
        (None, 0.34, 2.0),
        (None, 0.32, "fit"),  # 32 voxels
        (None, 1.28, "fit"),
        ("fit", 0.64, "fit"),
        (2.0, 80.0, 2.0),  # as requested
    ],
)
def test_the_tutorials_distance_is_the_default_only_for_models_of_its_size(asked, longest, expected):
    corners, asked = box(longest / 2, longest / 3, longest), job(50, distance=asked)
    fitting = scene.fitting_distance(corners, asked)
    assert scene.choose_distance(corners, asked) == (fitting if expected == "fit" else expected)


@pytest.mark.parametrize(("shown", "light"), [(0, 0), (1, 1), (0.5, 0.2140411), (0.04, 0.00309598)])
def test_srgb_values_are_converted_to_linear_light(shown, light):
    assert scene.linear_from_srgb(shown) == pytest.approx(light, abs=1e-6)
