"""A replacement for Binvox with the same options, files and failures, but not its voxels.

The written grid shows the options: voxel 0 is always set, voxel 1 with -e, voxel 2 with -cb.
The environment variable STAND_IN chooses a failure.
"""

import os
import subprocess
import sys
import time
from pathlib import Path


def install(path):
    """Make this file an executable program at `path` and return that as text."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!{sys.executable}\n{Path(__file__).read_text(encoding='utf-8')}", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def main(arguments):
    way = os.environ.get("STAND_IN", "")
    mesh = Path(arguments[-1])
    size = int(arguments[arguments.index("-d") + 1])
    assert arguments[arguments.index("-t") + 1] == "raw"
    print("loading", mesh.name, flush=True)
    if mesh.read_text(encoding="utf-8").split("\n")[0].strip() != "OFF":
        print("Error reading the header")
        return 1
    if way == "no display" and "-e" not in arguments:
        print("freeglut: failed to open display ''", file=sys.stderr)
        return 1
    if way == "crash":
        os.abort()
    if way == "kill":
        os.kill(os.getppid(), 9)
    if way == "hang":
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        Path(os.environ["STAND_IN_PIDS"]).write_text(f"{os.getpid()} {child.pid}", encoding="utf-8")
        time.sleep(60)
    if way == "no file":
        print("could not write")
        return 0
    voxels = bytearray(size**3 - (way == "cut"))
    voxels[0] = 7 if way == "odd bytes" else 255
    voxels[1] = 255 * ("-e" in arguments)
    voxels[2] = 255 * ("-cb" in arguments)
    if way == "other size":
        voxels = bytearray(16**3)
    raw = mesh.with_suffix(".raw")
    if raw.exists():
        raw = raw.with_name(f"{raw.stem}_1.raw")
    raw.write_bytes(voxels)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
