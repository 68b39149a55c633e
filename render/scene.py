"""Render .obj models inside Blender 3.3 or later; started by blender_process.py.

This script needs only bpy and the standard library. Its last argument, in JSON, is the path of a JSON file
with the job. Blender converts the .obj file's (x, y, z), y up, to (x, -z, y).
"""

import array
import itertools
import json
import math
import sys
import traceback
from pathlib import Path

SHADOW_SUFFIX = ".shadow.png"
"""Suffix of the file beside each picture that contains only the shadow, black and transparent."""
LENS_MM, SENSOR_MM = 35.0, 32.0
ORIGINAL_DISTANCE = 2.0  # the tutorial's
ORIGINAL_LENGTHS = 0.33, 0.65
"""The longest side of the tutorial's models, of 33 to 64 voxels of 0.01 each, with a margin for rounding."""
LENGTH = 0.64
"""Every model is moved to the origin and scaled to this longest side."""
GROUND = 50.0  # edge of the ground plane, which shows the shadow
FILL = 0.9  # share of the picture's edge that a fitted model fills
WORLD_STRENGTH = 0.28
KEY_POSITION, KEY_RADIUS, KEY_WATT = (3.76, 1.33, 5.58), 0.7, 1500.0
KEY_AZIMUTH_DEG = 50.0
"""White ambient light, and a lamp in the place of the original's reddish one: the position is relative to the
middle of the model, for a camera at this azimuth."""


def picture_path(folder, model, view):
    """Return the path of a rendered view; the name has no characters that Blender expands."""
    return Path(folder, f"{model}-{view}.png")


def camera_matrix(azimuth_deg, elevation_deg, tilt_deg, distance):
    """Return the pose of a camera that looks at the origin, in a right-handed frame with z up.

    `azimuth_deg` is measured from x towards y, and `elevation_deg` upwards from the horizon; a positive
    `tilt_deg` rotates the picture clockwise. The result maps camera to world, as a 4 x 4 nested list; its
    columns are the camera's right, up, back and position.
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
    rows = [[right[i], up[i], back[i], distance * back[i]] for i in range(3)]
    return [*rows, [0.0, 0.0, 0.0, 1.0]]


def turned(point, angle_deg):
    """Rotate a point around the vertical axis, from x towards y."""
    x, y, z = point
    angle = math.radians(angle_deg)
    return (math.cos(angle) * x - math.sin(angle) * y, math.sin(angle) * x + math.cos(angle) * y, z)


def fitting_distance(corners, job):
    """Return the smallest distance of the camera at which all corners are in the picture, in every view.

    A point with coordinates (right, up, back) in the camera's frame has the depth distance - back.
    """
    elevation, tilt = job["view"]
    half = 0.5 * SENSOR_MM / LENS_MM * FILL
    nearest = 0.0
    for azimuth in job["azimuths"]:
        rows = camera_matrix(azimuth, elevation, tilt, 0.0)
        for corner in corners:
            right, up, back = (sum(corner[i] * rows[i][axis] for i in range(3)) for axis in range(3))
            nearest = max(nearest, back + max(abs(right), abs(up)) / half)
    return nearest


def choose_distance(corners, job):
    """Return the distance of the camera in model units: as requested, the tutorial's, or a fitting one."""
    if job["distance"] not in (None, "fit"):
        return job["distance"]
    is_original = ORIGINAL_LENGTHS[0] < longest_side(corners) < ORIGINAL_LENGTHS[1]
    if job["distance"] is None and is_original:
        return ORIGINAL_DISTANCE
    return fitting_distance(corners, job)


def longest_side(corners):
    """Return the longest side of the bounding box of some corners."""
    return max(max(axis) - min(axis) for axis in zip(*corners, strict=True))


def linear_from_srgb(value):
    """Convert an sRGB value, 0 to 1, to linear light (IEC 61966-2-1)."""
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


def render_all(job):
    """Render every model of the job from every azimuth; if one fails, the others are still rendered."""
    import bpy

    if bpy.app.version < (3, 3, 0):
        raise RuntimeError(f"Blender 3.3 or later is required; this is {bpy.app.version_string}")
    for number, model in enumerate(job["models"]):
        try:
            distance, lost = build(bpy, model, job)
            casts_shadow = job["shadow"] and job["view"][0] > 0  # from below, the ground hides the model
            for view, azimuth in enumerate(job["azimuths"]):
                picture = picture_path(job["folder"], number, view)
                camera = camera_matrix(azimuth, *job["view"], distance)
                # The lamp moves with the camera, so that no view shows only the dark side.
                render(bpy, camera, turned(KEY_POSITION, azimuth - KEY_AZIMUTH_DEG), str(picture))
                if casts_shadow:
                    render_shadow(bpy, str(picture.with_suffix(SHADOW_SUFFIX)))
                report(job, number, view, lost)
        except Exception as error:  # printed, so that it can be quoted
            print(*traceback.format_tb(error.__traceback__, limit=-1), f"{type(error).__name__}: {error}")
            report(job, number, None)


def report(job, model, view, lost=0):
    """Print that a view was rendered and how many faces are missing, or with None that the model failed."""
    print(f"\n{job['report']}{json.dumps({'model': model, 'view': view, 'lost': lost})}", flush=True)


def build(bpy, path, job):
    """Build the scene of a model; return the camera's distance and the number of faces left out."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    models, lost = import_model(bpy, path, str(Path(job["folder"], "model.obj")))
    corners = box_corners(models)
    middle = [(min(axis) + max(axis)) / 2 for axis in zip(*corners, strict=True)]
    corners = [[corner[axis] - middle[axis] for axis in range(3)] for corner in corners]
    scale = LENGTH / longest_side(corners)
    place(models, middle, scale)
    add_ground(bpy, scale * min(corner[2] for corner in corners))
    distance = scale * choose_distance(corners, job)
    paint(bpy, models, [linear_from_srgb(channel) for channel in job["color"]])
    light(bpy)
    add_camera(bpy, distance)

    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.samples = job["samples"]
    scene.cycles.use_denoising = False  # an error in builds without OpenImageDenoise
    scene.cycles.max_bounces = 0
    scene.view_settings.view_transform = "Standard"  # the default depends on the version
    scene.view_settings.look = "None"
    scene.render.resolution_x = scene.render.resolution_y = job["size"]
    scene.render.resolution_percentage = 100
    scene.render.film_transparent = True
    scene.render.image_settings.file_format = "PNG"
    scene.render.image_settings.color_mode = "RGBA"
    scene.render.use_file_extension = False
    return distance, lost


def render(bpy, camera, lamp, picture):
    """Render the scene to a file, with the camera and the lamp at these positions."""
    import mathutils

    scene = bpy.context.scene
    scene.camera.matrix_world = mathutils.Matrix(camera)  # nested lists would be read as columns
    scene.objects["lamp"].location = lamp
    scene.render.filepath = picture
    bpy.ops.render.render(write_still=True)


def render_shadow(bpy, picture):
    """Render only the shadow of the model on the ground to a file."""
    scene = bpy.context.scene
    meshes = [thing for thing in scene.objects if thing.type == "MESH"]
    for mesh in meshes:
        mesh.hide_render = False
        mesh.visible_camera = mesh.is_shadow_catcher  # hidden models still cast shadows
    scene.render.filepath = picture
    bpy.ops.render.render(write_still=True)
    for mesh in meshes:
        mesh.hide_render = mesh.is_shadow_catcher
        mesh.visible_camera = True


def import_model(bpy, path, copy):
    """Import an .obj file by a temporary copy; return its mesh objects and the number of faces left out.

    Blender silently leaves out faces with invalid indices and faces that it cannot parse.
    """
    faces = copy_without_materials(path, copy)
    try:
        bpy.ops.wm.obj_import(filepath=copy, forward_axis="NEGATIVE_Z", up_axis="Y")
    finally:
        Path(copy).unlink()
    models = [thing for thing in bpy.context.scene.objects if thing.type == "MESH"]
    there = sum(len(model.data.polygons) for model in models)
    if not there:
        raise RuntimeError("the model has no faces")
    bpy.context.view_layer.update()  # computes the models' matrices
    return models, max(0, faces - there)


def copy_without_materials(path, copy):
    """Copy an .obj file without the lines that name materials; return its number of faces.

    `paint` replaces materials anyway, and Blender would wait forever for a pipe in place of a material file.
    """
    faces = 0
    with Path(path).open("rb") as lines, Path(copy).open("wb") as out:
        for line in lines:
            faces += line.lstrip()[:2] in (b"f ", b"f\t")
            if b"mtllib" not in line and b"usemtl" not in line:
                out.write(line)
    return faces


def box_corners(models):
    """Return the corners of the bounding boxes of all faces in world coordinates; ignore loose points."""
    import mathutils

    corners = []
    for model in models:
        places = array.array("f", bytes(12 * len(model.data.vertices)))
        model.data.vertices.foreach_get("co", places)
        used = array.array("i", bytes(4 * len(model.data.loops)))
        model.data.loops.foreach_get("vertex_index", used)
        used = set(used)
        sides = [[places[3 * vertex + axis] for vertex in used] for axis in range(3)]
        box = itertools.product(*([min(side), max(side)] for side in sides)) if used else []
        corners += [model.matrix_world @ mathutils.Vector(corner) for corner in box]
    if not 0 < longest_side(corners) < math.inf:
        raise RuntimeError("the model has no size, or its coordinates are not finite numbers")
    return corners


def place(models, middle, scale):
    """Move the middle of all models to the origin and scale them, to fit the light and the camera."""
    import mathutils

    moved = mathutils.Matrix.Scale(scale, 4) @ mathutils.Matrix.Translation([-side for side in middle])
    for model in models:
        model.matrix_world = moved @ model.matrix_world


def add_ground(bpy, height):
    """Add a plane that shows only shadows; it is hidden except in `render_shadow`."""
    far = GROUND / 2
    corners = [(-far, -far, height), (far, -far, height), (far, far, height), (-far, far, height)]
    plane = bpy.data.meshes.new("ground")
    plane.from_pydata(corners, [], [(0, 1, 2, 3)])
    ground = bpy.data.objects.new("ground", plane)
    ground.is_shadow_catcher = ground.hide_render = True
    bpy.context.scene.collection.objects.link(ground)


def paint(bpy, models, color):
    """Give all models a matte material of a linear color."""
    material = bpy.data.materials.new("clay")
    nodes, links = empty_nodes(bpy, material)
    diffuse = nodes.new("ShaderNodeBsdfDiffuse")  # its sockets have the same names in all versions
    diffuse.inputs["Color"].default_value = [*color, 1.0]
    links.new(diffuse.outputs["BSDF"], nodes.new("ShaderNodeOutputMaterial").inputs["Surface"])
    for model in models:
        model.data.materials.clear()
        model.data.materials.append(material)


def light(bpy):
    """Add the ambient light and the lamp."""
    scene = bpy.context.scene
    scene.world = bpy.data.worlds.new("world")  # an empty file has none
    nodes, links = empty_nodes(bpy, scene.world)
    background = nodes.new("ShaderNodeBackground")
    background.inputs["Color"].default_value = (1.0, 1.0, 1.0, 1.0)
    background.inputs["Strength"].default_value = WORLD_STRENGTH
    links.new(background.outputs["Background"], nodes.new("ShaderNodeOutputWorld").inputs["Surface"])

    lamp = bpy.data.lights.new("lamp", "POINT")
    lamp.energy, lamp.shadow_soft_size = KEY_WATT, KEY_RADIUS
    scene.collection.objects.link(bpy.data.objects.new("lamp", lamp))


def add_camera(bpy, distance):
    """Add the camera, whose distance determines its clipping planes."""
    camera = bpy.data.cameras.new("camera")
    camera.lens, camera.sensor_width = LENS_MM, SENSOR_MM
    camera.clip_start, camera.clip_end = distance / 1000, 1000 * max(distance, 1.0)
    placed = bpy.data.objects.new("camera", camera)
    bpy.context.scene.collection.objects.link(placed)
    bpy.context.scene.camera = placed


def empty_nodes(bpy, owner):
    """Return the emptied node tree of a material or world; from 5.0 on they exist, and `use_nodes` warns."""
    if bpy.app.version < (5, 0, 0):
        owner.use_nodes = True
    owner.node_tree.nodes.clear()
    return owner.node_tree.nodes, owner.node_tree.links


if __name__ == "__main__":
    render_all(json.loads(Path(json.loads(sys.argv[-1])).read_text(encoding="utf-8")))
