"""``python -m rasgan`` lists the commands."""

from rasgan import cli

COMMANDS = """\
From any folder:
  python -m rasgan.generate    generate new shapes, and films from one to another
  python -m rasgan.evaluate    score generated shapes

In the project's folder, in this order:
  python -m rasgan.demo        all steps at a small size, in minutes on a CPU
  python download_data.py      download 3D models
  python convert_data.py       convert them to voxel grids
  python train_rasgan.py       train on the grids
  python convert_to_graph.py   draw generated grids
  python convert_to_obj.py     convert generated grids to meshes
  python render_class_view.py  render meshes with Blender (in the folder render)

--help describes the options of a command. A first try:
  python -m rasgan.generate --pretrained chairs"""

if __name__ == "__main__":
    cli.say(COMMANDS)
