"""Renders .obj models inside Blender 3.3 or later, or a Python with bpy; blender_process.py starts it.

It needs nothing but bpy and the standard library, and builds its scenes on an empty file. What to do is in a
JSON file; its path, as JSON too, is the last argument. Blender turns the file's (x, y, z),
y up, into (x, -z, y).
"""

import json
import math
import sys
import traceback
from pathlib import Path

LENS_MM, SENSOR_MM = 35.0, 32.0
ORIGINAL_TARGET = (0.0, -0.40, 0.0)
"""Where jpjuvo/64-3D-RaSGAN's camera looks, wherever the model is."""
WORLD_STRENGTH = 0.43
LIGHT_POSITION, LIGHT_COLOR, LIGHT_WATT = (4.08, 1.01, 5.90), (1.0, 0.152, 0.152), 600.0
"""Measured from the original's example picture: a white surrounding and one reddish lamp."""


def camera_matrix(target, azimuth_deg, elevation_deg, tilt_deg, distance):
    """Place a camera on a sphere round a point, looking at that point.

    Parameters
    ----------
    target : (3,) floats
        The point, in a right-handed frame with z up.
    azimuth_deg, elevation_deg : float
        Direction from the target to the camera: degrees from x towards y, and above the horizon. Defined at
        the poles too.
    tilt_deg : float
        Positive turns the picture clockwise.
    distance : float
        From the target to the camera.

    Returns
    -------
    matrix : 4 x 4 nested list of floats
        Camera to world; the columns are the camera's right, its up, its back and its position.
    """
    azimuth, elevation, tilt = (math.radians(angle) for angle in (azimuth_deg, elevation_deg, tilt_deg))
    back = (
        math.cos(azimuth) * math.cos(elevation),
        math.sin(azimuth) * math.cos(elevation),
        math.sin(elevation),
    )
    level_right = (-math.sin(azimuth), math.cos(azimuth), 0.0)
    level_up = (
        -math.cos(azimuth) * math.sin(elevation),
        -math.sin(azimuth) * math.sin(elevation),
        math.cos(elevation),
    )
    right = [math.cos(tilt) * level_right[i] + math.sin(tilt) * level_up[i] for i in range(3)]
    up = [math.cos(tilt) * level_up[i] - math.sin(tilt) * level_right[i] for i in range(3)]
    rows = [[right[i], up[i], back[i], target[i] + distance * back[i]] for i in range(3)]
    return [*rows, [0.0, 0.0, 0.0, 1.0]]


def turned(point, center, angle_deg):
    """Turn a point round the vertical axis through another, from x towards y.

    The lamp goes round with the camera, so the model seems to stand on a turntable and is never seen from its
    dark side alone.
    """
    x, y = point[0] - center[0], point[1] - center[1]
    angle = math.radians(angle_deg)
    return (
        center[0] + math.cos(angle) * x - math.sin(angle) * y,
        center[1] + math.sin(angle) * x + math.cos(angle) * y,
        point[2],
    )


def linear_from_srgb(value):
    """Turn a display value, 0 to 1, into linear light (IEC 61966-2-1)."""
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


def render_all(job):
    """Render every model of the job from every azimuth; one that fails does not stop the others."""
    import bpy

    if bpy.app.version < (3, 3, 0):
        raise RuntimeError(f"Blender 3.3 or later is needed, this is {bpy.app.version_string}")
    for number, model in enumerate(job["models"]):
        try:
            target = build(bpy, model["file"], job)
            first = job["azimuths"][0]
            for view, (azimuth, picture) in enumerate(zip(job["azimuths"], model["pictures"], strict=True)):
                camera = camera_matrix(target, azimuth, *job["view"])
                lamp = turned(LIGHT_POSITION, target, azimuth - first)
                render(bpy, camera, lamp, picture)
                report(job, number, view)
        except Exception as error:  # whatever it is, it is printed, and the next model has its turn
            print(*traceback.format_tb(error.__traceback__, limit=-1), f"{type(error).__name__}: {error}")
            report(job, number, None)


def report(job, model, view):
    """Print that a view was rendered, or, with None, that the model failed."""
    print(f"\n{job['report']}{json.dumps({'model': model, 'view': view})}", flush=True)


def build(bpy, path, job):
    """Build the scene of one model; return the point to look at."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    models = import_model(bpy, path)
    paint(bpy, models, [linear_from_srgb(channel) for channel in job["color"]])
    light(bpy)
    add_camera(bpy, distance=job["view"][-1])

    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.samples = job["samples"]
    scene.cycles.use_denoising = False  # on by default, and an error in builds without OpenImageDenoise
    scene.cycles.max_bounces = 0
    scene.view_settings.view_transform = "Standard"  # the default is another one in almost every version
    scene.view_settings.look = "None"
    scene.render.resolution_x = scene.render.resolution_y = job["size"]
    scene.render.resolution_percentage = 100
    scene.render.film_transparent = True
    scene.render.image_settings.file_format = "PNG"
    scene.render.image_settings.color_mode = "RGBA"
    scene.render.use_file_extension = False
    return ORIGINAL_TARGET if job["framing"] == "original" else middle(models)


def render(bpy, camera, lamp, picture):
    """Render the scene to a file with the camera, a matrix as of `camera_matrix`, and the lamp in place."""
    import mathutils

    scene = bpy.context.scene
    scene.camera.matrix_world = mathutils.Matrix(camera)  # nested lists would be taken as columns
    scene.objects["lamp"].location = lamp
    scene.render.filepath = picture
    bpy.ops.render.render(write_still=True)


def import_model(bpy, path):
    """Import an .obj file and return its mesh objects; some versions accept a file without faces silently."""
    bpy.ops.wm.obj_import(filepath=path, forward_axis="NEGATIVE_Z", up_axis="Y")
    models = [thing for thing in bpy.context.scene.objects if thing.type == "MESH"]
    if not sum(len(model.data.polygons) for model in models):
        raise RuntimeError("the model has no faces")
    bpy.context.view_layer.update()  # so that the models' matrices hold
    return models


def middle(models):
    """Return the middle of the box round all models, in the world's frame."""
    import mathutils

    corners = [
        model.matrix_world @ mathutils.Vector(corner) for model in models for corner in model.bound_box
    ]
    return [(min(axis) + max(axis)) / 2 for axis in zip(*corners, strict=True)]


def paint(bpy, models, color):
    """Make all models of one matt material of a linear color."""
    material = bpy.data.materials.new("clay")
    nodes, links = empty_nodes(bpy, material)
    diffuse = nodes.new("ShaderNodeBsdfDiffuse")  # unlike Principled's, its sockets kept their names
    diffuse.inputs["Color"].default_value = [*color, 1.0]
    links.new(diffuse.outputs["BSDF"], nodes.new("ShaderNodeOutputMaterial").inputs["Surface"])
    for model in models:
        model.data.materials.clear()
        model.data.materials.append(material)


def light(bpy):
    """Add the surrounding light and the lamp, all but its place."""
    scene = bpy.context.scene
    scene.world = bpy.data.worlds.new("world")  # an empty file has none
    nodes, links = empty_nodes(bpy, scene.world)
    background = nodes.new("ShaderNodeBackground")
    background.inputs["Color"].default_value = (1.0, 1.0, 1.0, 1.0)
    background.inputs["Strength"].default_value = WORLD_STRENGTH
    links.new(background.outputs["Background"], nodes.new("ShaderNodeOutputWorld").inputs["Surface"])

    lamp = bpy.data.lights.new("lamp", "POINT")
    lamp.energy, lamp.color = LIGHT_WATT, LIGHT_COLOR
    scene.collection.objects.link(bpy.data.objects.new("lamp", lamp))


def add_camera(bpy, distance):
    """Add the camera; `distance` is to what it looks at."""
    camera = bpy.data.cameras.new("camera")
    camera.lens, camera.sensor_width = LENS_MM, SENSOR_MM
    camera.clip_start, camera.clip_end = distance / 1000, 1000 * max(distance, 1.0)
    placed = bpy.data.objects.new("camera", camera)
    bpy.context.scene.collection.objects.link(placed)
    bpy.context.scene.camera = placed


def empty_nodes(bpy, owner):
    """Return the empty node tree of a material or world; from 5.0 on each has one, and asking warns."""
    if bpy.app.version < (5, 0, 0):
        owner.use_nodes = True
    owner.node_tree.nodes.clear()
    return owner.node_tree.nodes, owner.node_tree.links


if __name__ == "__main__":
    render_all(json.loads(Path(json.loads(sys.argv[-1])).read_text(encoding="utf-8")))
