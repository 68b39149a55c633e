"""The demo: from nothing to a sheet of generated chairs in minutes on a CPU."""

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import numpy as np

from rasgan import figures
from rasgan.conversion import convert_folder
from rasgan.generate import generate, load_generator, save_shapes
from rasgan.objfile import write_obj
from rasgan.runs import RunFolder
from rasgan.sample_chairs import write_sample_set
from rasgan.voxels import is_occupied, surface_mesh

SAMPLE_CLASS = Path("SampleChairs") / "chair"
PRESETS = {
    "name": "demo",
    "data": SAMPLE_CLASS / "train",
    "recipe": "stable",  # the tutorial's own recipe needs a GPU and many hours
    "resolution": 32,
    "width": 64,
    "epochs": 120,
    "seed": 0,
}
SHOWN = 16  # generated chairs, seeds as they come
