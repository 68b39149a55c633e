"""``python -m rasgan`` lists what can be typed."""

from rasgan import cli

COMMANDS = """\
From any folder:
  python -m rasgan.generate    new shapes from a trained generator, and films from one to another
  python -m rasgan.evaluate    how good generated shapes are, in numbers

In the folder of the project, in this order:
  python -m rasgan.demo        all of the steps, small, in minutes on a CPU
  python download_data.py      get 3D models
  python convert_data.py       make voxel grids of them
  python train_rasgan.py       train on the grids
  python convert_to_graph.py   draw generated grids
  python convert_to_obj.py     make meshes of generated grids
  python render_class_view.py  render meshes with Blender (in the folder render)

Each takes --help. To see chairs at once: python -m rasgan.generate --pretrained chairs"""

if __name__ == "__main__":
    cli.say(COMMANDS)
