"""train_rasgan.py --demo, with fewer chairs and a smaller network."""

import pytest

import train_rasgan
from rasgan import demo

SMALL = ["--demo", "--epochs", "2", "--width", "8", "-b", "6", "--device", "cpu"]


@pytest.fixture(autouse=True)
def few_chairs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "TRAIN", 12)
    monkeypatch.setattr(demo, "TEST", 2)
    return tmp_path


def test_the_demo_ends_with_chairs_pictures_and_a_mesh(few_chairs, capsys):
    assert train_rasgan.main(SMALL) == 0
    folder = few_chairs / "savepoint" / "demo"
    expected = ["chairs.png", "plots/2.png", "3D_graphs/2.png", "2.npy"]
    expected += [f"generated/2/seed0-{number:02d}.npy" for number in range(10)]
    assert [name for name in expected if not (folder / name).is_file()] == []
    assert len(list((folder / "models").glob("seed0-*.obj"))) == 1
    assert len(list((few_chairs / "SampleChairs" / "chair" / "train").glob("*.raw"))) == 12
    out = capsys.readouterr().out
    assert "--recipe stable" in out
    assert "chairs.png" in out
    assert "python -m rasgan.generate -n demo" in out


def test_the_demo_typed_again_goes_on_and_makes_nothing_twice(few_chairs, capsys):
    assert train_rasgan.main([*SMALL[:1], "--epochs", "1", *SMALL[3:]]) == 0
    made = {path: path.stat().st_mtime_ns for path in (few_chairs / "SampleChairs").rglob("*.*")}
    capsys.readouterr()
    assert train_rasgan.main(SMALL) == 0
    assert made == {path: path.stat().st_mtime_ns for path in (few_chairs / "SampleChairs").rglob("*.*")}
    out = capsys.readouterr().out
    assert "[ 1/2]" not in out
    assert "[ 2/2]" in out


def test_a_chair_that_cannot_be_converted_is_told(few_chairs, capsys):
    broken = few_chairs / "SampleChairs" / "chair" / "train" / "chair_0001.off"
    broken.parent.mkdir(parents=True)
    broken.write_text("OFF\n1 1 0\n", encoding="ascii")
    assert train_rasgan.main(SMALL) == 1
    assert "chair_0001.off" in capsys.readouterr().err
