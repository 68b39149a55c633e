"""A relativistic average 3D-GAN on voxels; the scripts beside this package are its steps.

A chair in three lines, after the imports::

    from rasgan.export.mesh_files import write_obj
    from rasgan.export.surface import surface_mesh
    from rasgan.sampling import generate
    from rasgan.training.checkpoints import load_pretrained

    generator = load_pretrained("chairs")
    grid = generate(generator, seed=0, count=1)[0]  # (64, 64, 64) scores; above 0.3 a voxel is occupied
    write_obj("chair.obj", *surface_mesh(grid > 0.3))
"""

from importlib import metadata

try:
    __version__ = metadata.version("rasgan")
except metadata.PackageNotFoundError:  # run from a checkout that was not installed
    __version__ = "0+unknown"
