"""python -m rasgan.evaluate on folders of boxes and on a run that was never trained."""

import json
from pathlib import Path

import numpy as np
import pytest

from rasgan import evaluate, metrics
from rasgan.voxel_io import read_raw, write_raw
from tests.untrained import save_run


def fill(folder, rng, count, edge=16):
    for number in range(count):
        shape = np.zeros((edge,) * 3, dtype=bool)
        low, high = rng.integers(0, edge // 2, 3), rng.integers(edge // 2, edge, 3) + 1
        shape[tuple(slice(*ends) for ends in zip(low, high, strict=True))] = True
        write_raw(folder / f"{number:02d}.raw", shape)


def scores_of(*argv):
    """Score, and read what was written."""
    assert evaluate.main([*argv, "--json", "out/scores.json"]) == 0
    return json.loads(Path("out/scores.json").read_text(encoding="utf-8"))


@pytest.fixture
def folders(tmp_path, monkeypatch, rng):
    monkeypatch.chdir(tmp_path)
    for name, count in (("made", 6), ("test", 8), ("train", 9)):
        fill(tmp_path / name, rng, count)
    return tmp_path


def test_a_folder_is_scored_beside_the_training_set_and_noise(folders, capsys):
    told = scores_of("made", "--reference", "test", "--train", "train")
    assert list(told["rows"]) == ["generated", "training set", "noise", "reference"]
    assert told["count"] == 6
    assert told["available"] == {"generated": 6, "reference": 8, "training set": 9}
    assert told["verdict"] in metrics.VERDICTS
    out = capsys.readouterr().out
    assert "Every set has 6 shapes at 16³" in out
    assert "drawn at random from the reference set's 8, the training set's 9." in out
    assert max(map(len, out.splitlines())) <= 80
    for score, name in (("coverage_iou", "COV IoU"), ("stands", "stands"), ("distinct_nearest", "distinct")):
        (line,) = [line for line in out.splitlines() if line.startswith(f"  {name}")]
        values = [float(word) for word in line.split() if word[0].isdigit()]
        expected = [row[score] for row in told["rows"].values() if score in row]
        assert values == pytest.approx(expected, abs=0.005)


def test_shifted_sets_are_told_with_the_command_that_converts_them_again(folders, rng, capsys):
    for name, start in (("centered", 4), ("chairs/test", 0), ("chairs/train", 0)):
        for number in range(6):
            shape = np.zeros((32, 32, 32), bool)
            size = rng.integers(8, 14, 3)
            first = (32 - size) // 2 if start else np.array([0, 9, 0])
            shape[tuple(slice(low, low + edge) for low, edge in zip(first, size, strict=True))] = True
            write_raw(folders / name / f"{number}.raw", shape)
    told = scores_of("centered", "--reference", "chairs/test", "--train", "chairs/train")
    shift = told["rows"]["reference"]["shift"]
    assert told["verdict"] == "shifted"
    assert shift[0] < -9
    assert shift[2] < -9
    err = capsys.readouterr().err
    assert f"{shift[0]:+g} voxels along axis 0" in err
    assert err.endswith("convert_data.py -m chairs --center --overwrite\n")
    told = scores_of("chairs/train", "--reference", "centered")
    assert told["verdict"] == "shifted"
    assert capsys.readouterr().err.endswith("convert_data.py -m centered --overwrite\n")
    assert scores_of("chairs/train", "--reference", "chairs/test")["verdict"] != "shifted"
    assert capsys.readouterr().err == ""


def test_the_scores_of_a_copy_and_of_noise(folders):
    rows = scores_of("test", "--reference", "test", "--train", "test")["rows"]
    assert rows["generated"]["coverage_iou"] == rows["generated"]["copies"] == 1
    assert rows["generated"]["minimum_matching_distance_chamfer"] == 0
    # a training shape is not a copy of itself
    assert rows["training set"]["copies"] == rows["noise"]["copies"] == 0
    assert rows["noise"]["voxels"] == pytest.approx(rows["reference"]["voxels"], rel=0.1)
    assert rows["noise"]["largest_piece"] < rows["generated"]["largest_piece"] == 1


def test_the_sheet_shows_copies_first_each_above_what_it_copies(folders, rng, monkeypatch, capsys):
    drawn = []
    monkeypatch.setattr(evaluate, "SHOWN", 3)
    monkeypatch.setattr(evaluate, "contact_sheet", lambda *what: drawn.append(what))
    copied = read_raw(folders / "train" / "04.raw")
    write_raw(folders / "made" / "03.raw", copied)
    assert evaluate.main(["made", "--reference", "test", "--train", "train", "--sheet", "all.png"]) == 0
    ((path, grids, columns, labels),) = drawn
    assert (path, columns, len(grids), len(labels)) == (Path("all.png"), 3, 6, 6)
    assert (labels[0], labels[3]) == ("epoch 3", "IoU 1.00: epoch 4")
    assert (grids[0] == copied).all()
    assert (grids[3] == copied).all()
    for upper, lower, label in zip(grids[:3], grids[3:], labels[3:], strict=True):
        assert label.startswith(f"IoU {(upper & lower).sum() / (upper | lower).sum():.2f}: ")
    assert labels[3:] == sorted(labels[3:], reverse=True)
    assert capsys.readouterr().out.endswith(
        "Generated shapes above their nearest training shapes in all.png\n"
    )


def test_the_same_seed_draws_the_same_shapes_and_another_one_others(folders):
    argv = ["made", "--reference", "test", "--count", "3", "--seed"]
    first, again, other = (scores_of(*argv, seed)["rows"] for seed in ("1", "1", "2"))
    assert first == again
    assert first["reference"]["nearest_min"] > 0  # without --train, neighbors are others of the reference
    assert first["generated"] != other["generated"]


def test_finer_references_are_pooled_and_batches_count_each_shape(folders, rng):
    fill(folders / "fine", rng, 3, edge=32)
    (folders / "batches").mkdir()
    np.save(folders / "batches" / "a.npy", rng.random((4, 16, 16, 16)))
    told = scores_of("batches", "--reference", "fine")
    assert (told["resolution"], told["available"]) == (16, {"generated": 4, "reference": 3})


def test_a_run_is_scored_from_its_checkpoint(folders, rng, capsys):
    fill(folders / "data", rng, 4, edge=32)
    run = save_run("run")
    assert evaluate.main(["-n", "run", "-le", "1", "--reference", "data", "--count", "3"]) == 0
    told = json.loads(run.evaluation(1).read_text(encoding="utf-8"))
    assert told["generated"] == "run run, epoch 1"
    assert (told["count"], told["resolution"]) == (3, 32)
    assert str(run.evaluation(1)) in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["nowhere", "--reference", "test"], "nowhere: no such folder"),
        (["one", "--reference", "test"], "one: holds a single shape"),
        (["made", "--reference", "other"], "12³, which does not fit the resolution 16. To be scored"),
        (["-n", "nobody", "--reference", "test"], "nobody: no checkpoints of this run"),
    ],
)
def test_what_cannot_be_scored_is_one_sentence(folders, rng, capsys, argv, said):
    fill(folders / "one", rng, 1)
    fill(folders / "other", rng, 2, edge=12)
    assert evaluate.main(argv) == 1
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "options",
    [
        "",
        "made -n run",
        "made --pretrained chairs",
        "-n run --pretrained chairs",
        "--pretrained tables",
        "--pretrained chairs -le 1",
        "made --count 1",
        "made --sheet all.png",
    ],
)
def test_options_that_do_not_go_together_are_wrong_usage(options):
    with pytest.raises(SystemExit) as ended:
        evaluate.main([*options.split(), "--reference", "test"])
    assert ended.value.code == 2
