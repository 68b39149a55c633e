"""Write meshes as .obj, .stl, .ply, .glb and .3mf files, each with the axes and unit of its format."""

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rasgan.files import atomic_path

Write = Callable[[Path, np.ndarray, np.ndarray], None]


@dataclass(frozen=True)
class Format:
    """The axes and the unit that programs expect of a file format, and the function that writes it."""

    rotation: np.ndarray  # (3, 3) int: from `surface_mesh`'s axes to the file's; determinant +1
    millimeters: float  # per unit of the file, if a length is requested
    write: Write
    longest_mm: float | None = None  # default length of the object


def write_model(
    path: Path, vertices: np.ndarray, faces: np.ndarray, box: float, longest_mm: float | None = None
) -> float:
    """Write a mesh atomically, in the format given by the suffix of `path`.

    Parameters
    ----------
    path : Path
        Its suffix is a key of `FORMATS`.
    vertices, faces : (v, 3) float array, (f, 3) int array
        f > 0; y up, front towards low z, in the box [0, `box`]**3, as returned by `rasgan.export.surface`.
    box : float
        Edge length of the grid, in the unit of `vertices`.
    longest_mm : float, optional
        Scale the longest side of the object to this many millimeters and move the lowest corner of its
        bounding box to the origin. Default: 80 for .3mf; other formats keep the scale and position.

    Returns
    -------
    longest_mm : float
        Longest side of the object, as programs interpret the file.
    """
    target = FORMATS[path.suffix]
    # The rotation maps the box onto itself: a reversed axis runs from `box` down to 0.
    vertices = vertices @ target.rotation.T + box * (target.rotation < 0).any(axis=1)
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    longest = (high - low).max()
    if longest_mm is None:
        longest_mm = target.longest_mm
    if longest_mm is not None:
        vertices = (vertices - low) * (longest_mm / target.millimeters / longest)
    target.write(path, vertices, faces)
    return float(longest * target.millimeters) if longest_mm is None else longest_mm


def _write_with_trimesh(path: Path, vertices: np.ndarray, faces: np.ndarray) -> None:
    """Write a .stl, .ply or .glb file: binary, with 32-bit floats."""
    import trimesh  # slow to import

    mesh = trimesh.Trimesh(vertices, faces, process=False, validate=False)  # do not merge vertices
    if path.suffix == ".glb":  # the default material is metal, which is black in many viewers
        clay = trimesh.visual.material.PBRMaterial(
            baseColorFactor=[231, 231, 231, 255], metallicFactor=0.0, roughnessFactor=0.8
        )
        mesh.visual = trimesh.visual.TextureVisuals(material=clay)
    data = mesh.export(file_type=path.suffix[1:])
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_obj(path: Path, vertices: np.ndarray, faces: np.ndarray) -> None:
    """Write (v, 3) float vertices with nine significant digits and (f, 3) int faces as .obj."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="ascii", newline="\n") as out:
        out.writelines(f"v {x:.9g} {y:.9g} {z:.9g}\n" for x, y, z in vertices.tolist())
        out.writelines(f"f {a} {b} {c}\n" for a, b, c in (faces + 1).tolist())


def write_3mf(path: Path, vertices: np.ndarray, faces: np.ndarray) -> None:
    """Write (v, 3) float vertices, in millimeters, and (f, 3) int faces as .3mf, reproducibly.

    3MF Core Specification 1.3: a zip archive of three XML files. trimesh needs two more packages to write it.
    """
    points = "".join(f'<vertex x="{x:.9g}" y="{y:.9g}" z="{z:.9g}"/>' for x, y, z in vertices.tolist())
    triangles = "".join(f'<triangle v1="{a}" v2="{b}" v3="{c}"/>' for a, b, c in faces.tolist())
    parts = {**_3MF_PARTS, "3D/3dmodel.model": _3MF_MODEL % (points, triangles)}
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, text in parts.items():
            archive.writestr(zipfile.ZipInfo(name), '<?xml version="1.0" encoding="UTF-8"?>\n' + text, _ZIP)


_ZIP = zipfile.ZIP_DEFLATED
_OPEN_PACKAGING = "http://schemas.openxmlformats.org/package/2006"
_3MF_PARTS = {
    "[Content_Types].xml": f'<Types xmlns="{_OPEN_PACKAGING}/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Default Extension="model" ContentType="application/vnd.ms-package.3dmanufacturing-3dmodel+xml"/>'
    "</Types>",
    "_rels/.rels": f'<Relationships xmlns="{_OPEN_PACKAGING}/relationships"><Relationship Id="model" '
    'Target="/3D/3dmodel.model" Type="http://schemas.microsoft.com/3dmanufacturing/2013/01/3dmodel"/>'
    "</Relationships>",
}
_3MF_MODEL = (
    '<model unit="millimeter" xml:lang="en-US" '
    'xmlns="http://schemas.microsoft.com/3dmanufacturing/core/2015/02"><resources>'
    '<object id="1" type="model"><mesh><vertices>%s</vertices><triangles>%s</triangles></mesh></object>'
    '</resources><build><item objectid="1"/></build></model>'
)

_Y_UP_FRONT_LOW_Z = np.eye(3, dtype=int)
_Y_UP_FRONT_HIGH_Z = np.array([[-1, 0, 0], [0, 1, 0], [0, 0, -1]])  # glTF 2.0, 3.4: "the front faces +Z"
_Z_UP_FRONT_LOW_Y = np.array([[-1, 0, 0], [0, 0, 1], [0, 1, 0]])  # as in ModelNet and on a print bed

FORMATS = {
    ".obj": Format(_Y_UP_FRONT_LOW_Z, 1.0, write_obj),
    ".stl": Format(_Z_UP_FRONT_LOW_Y, 1.0, _write_with_trimesh),
    ".ply": Format(_Z_UP_FRONT_LOW_Y, 1.0, _write_with_trimesh),
    ".3mf": Format(_Z_UP_FRONT_LOW_Y, 1.0, write_3mf, longest_mm=80.0),
    ".glb": Format(_Y_UP_FRONT_HIGH_Z, 1000.0, _write_with_trimesh),
}
