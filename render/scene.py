"""Renders one .obj model; runs inside Blender 3.3 or later, started by render_class_view.py.

Needs nothing but bpy and the standard library, and builds its scene from code on an empty file. What it is to
do comes as one JSON object after ``--``. Blender turns the file's (x, y, z), y up, into (x, -z, y).
"""

import json
import math
import sys

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


def linear_from_srgb(value):
    """Turn a display value, 0 to 1, into linear light (IEC 61966-2-1)."""
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


def render(options):
    """Render the model that `options` names to the picture that they name."""
    import bpy

    if bpy.app.version < (3, 3, 0):
        raise RuntimeError(f"Blender 3.3 or later is needed, this is {bpy.app.version_string}")
    bpy.ops.wm.read_factory_settings(use_empty=True)
    models = import_model(bpy, options["model"])
    paint(bpy, models, [linear_from_srgb(channel) for channel in options["color"]])
    light(bpy)
    target = ORIGINAL_TARGET if options["framing"] == "original" else middle(models)
    view = (options["azimuth"], options["elevation"], options["tilt"], options["distance"])
    look(bpy, camera_matrix(target, *view), options["distance"])

    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.samples = options["samples"]
    scene.cycles.use_denoising = False  # on by default, and an error in builds without OpenImageDenoise
    scene.cycles.max_bounces = 0
    scene.view_settings.view_transform = "Standard"  # the default is another one in almost every version
    scene.view_settings.look = "None"
    scene.render.resolution_x = scene.render.resolution_y = options["size"]
    scene.render.resolution_percentage = 100
    scene.render.film_transparent = True
    scene.render.image_settings.file_format = "PNG"
    scene.render.image_settings.color_mode = "RGBA"
    scene.render.use_file_extension = False
    scene.render.filepath = options["output"]
    bpy.ops.render.render(write_still=True)


def import_model(bpy, path):
    """Import an .obj file and give its mesh objects; some versions accept a file without faces silently."""
    bpy.ops.wm.obj_import(filepath=path, forward_axis="NEGATIVE_Z", up_axis="Y")
    models = [thing for thing in bpy.context.scene.objects if thing.type == "MESH"]
    if not sum(len(model.data.polygons) for model in models):
        raise RuntimeError(f"the model has no faces: {path}")
    bpy.context.view_layer.update()  # so that the models' matrices hold
    return models


def middle(models):
    """Give the middle of the box round all models, in the world's frame."""
    import mathutils

    corners = [
        model.matrix_world @ mathutils.Vector(corner) for model in models for corner in model.bound_box
    ]
    return [(min(axis) + max(axis)) / 2 for axis in zip(*corners, strict=True)]


def paint(bpy, models, color):
    """Give all models one matt material of a linear colour."""
    material = bpy.data.materials.new("clay")
    nodes, links = empty_nodes(bpy, material)
    diffuse = nodes.new("ShaderNodeBsdfDiffuse")  # unlike Principled's, its sockets kept their names
    diffuse.inputs["Color"].default_value = [*color, 1.0]
    links.new(diffuse.outputs["BSDF"], nodes.new("ShaderNodeOutputMaterial").inputs["Surface"])
    for model in models:
        model.data.materials.clear()
        model.data.materials.append(material)


def light(bpy):
    """Add the surrounding light and the lamp."""
    scene = bpy.context.scene
    scene.world = bpy.data.worlds.new("world")  # an empty file has none
    nodes, links = empty_nodes(bpy, scene.world)
    background = nodes.new("ShaderNodeBackground")
    background.inputs["Color"].default_value = (1.0, 1.0, 1.0, 1.0)
    background.inputs["Strength"].default_value = WORLD_STRENGTH
    links.new(background.outputs["Background"], nodes.new("ShaderNodeOutputWorld").inputs["Surface"])

    lamp = bpy.data.lights.new("lamp", "POINT")
    lamp.energy, lamp.color = LIGHT_WATT, LIGHT_COLOR
    placed = bpy.data.objects.new("lamp", lamp)
    placed.location = LIGHT_POSITION
    scene.collection.objects.link(placed)


def look(bpy, matrix, distance):
    """Add the camera."""
    import mathutils

    camera = bpy.data.cameras.new("camera")
    camera.lens, camera.sensor_width = LENS_MM, SENSOR_MM
    camera.clip_start, camera.clip_end = distance / 1000, 1000 * max(distance, 1.0)
    placed = bpy.data.objects.new("camera", camera)
    placed.matrix_world = mathutils.Matrix(matrix)  # nested lists would be taken as columns
    bpy.context.scene.collection.objects.link(placed)
    bpy.context.scene.camera = placed


def empty_nodes(bpy, owner):
    """Give the empty node tree of a material or world; from 5.0 on each has one, and asking for it warns."""
    if bpy.app.version < (5, 0, 0):
        owner.use_nodes = True
    owner.node_tree.nodes.clear()
    return owner.node_tree.nodes, owner.node_tree.links


if __name__ == "__main__":
    render(json.loads(sys.argv[sys.argv.index("--") + 1]))
