"""Tests of python -m rasgan.evaluate on folders of boxes and on an untrained run."""

import json
from pathlib import Path

import numpy as np
import pytest

from rasgan import evaluate, metrics
from rasgan.voxel_io import write_raw
from tests.untrained import save_run


def fill(folder, rng, count, edge=16):
    for number in range(count):
        shape = np.zeros((edge,) * 3, dtype=bool)
        low, high = rng.integers(0, edge // 2, 3), rng.integers(edge // 2, edge, 3) + 1
        shape[tuple(slice(*ends) for ends in zip(low, high, strict=True))] = True
        write_raw(folder / f"{number:02d}.raw", shape)


def scores_of(*argv):
    """Run the command and read the JSON file."""
    assert evaluate.main([*argv, "--json", "out/scores.json"]) == 0
    return json.loads(Path("out/scores.json").read_text(encoding="utf-8"))


@pytest.fixture
def folders(tmp_path, monkeypatch, rng):
    monkeypatch.chdir(tmp_path)
    for name, count in (("made", 6), ("test", 8), ("train", 9)):
        fill(tmp_path / name, rng, count)
    return tmp_path


def test_a_folder_is_scored_with_the_training_set_and_noise(folders, capsys):
    result = scores_of("made", "--reference", "test", "--train", "train")
    assert list(result["rows"]) == ["generated", "training set", "noise", "reference"]
    assert result["count"] == 6
    assert result["available"] == {"generated": 6, "reference": 8, "training set": 9}
    assert result["verdict"] in metrics.VERDICTS
    out = capsys.readouterr().out
    assert "Every set has 6 shapes at 16³" in out
    assert "drawn at random from the reference set's 8, the training set's 9." in out
    assert max(map(len, out.splitlines())) <= 80
    for score, name in (("coverage_iou", "COV IoU"), ("stands", "stands"), ("distinct_nearest", "distinct")):
        (line,) = [line for line in out.splitlines() if line.startswith(f"  {name}")]
        values = [float(word) for word in line.split() if word[0].isdigit()]
        expected = [row[score] for row in result["rows"].values() if score in row]
        assert values == pytest.approx(expected, abs=0.005)


def test_shifted_sets_are_reported(folders, rng, capsys):
    for name, start in (("centered", 4), ("chairs/test", 0), ("chairs/train", 0)):
        for number in range(6):
            shape = np.zeros((32, 32, 32), bool)
            size = rng.integers(8, 14, 3)
            first = (32 - size) // 2 if start else np.array([0, 9, 0])
            shape[tuple(slice(low, low + edge) for low, edge in zip(first, size, strict=True))] = True
            write_raw(folders / name / f"{number}.raw", shape)
    result = scores_of("centered", "--reference", "chairs/test", "--train", "chairs/train")
    shift = result["rows"]["reference"]["shift"]
    assert result["verdict"] == "shifted"
    assert shift[0] < -9
    assert shift[2] < -9
    warning = capsys.readouterr().err
    assert f"{shift[0]:+g} voxels along axis 0" in warning
    assert f"-m {Path('chairs/test')} --center --overwrite\n" in warning
    assert scores_of("chairs/train", "--reference", "chairs/test")["verdict"] != "shifted"
    assert capsys.readouterr().err == ""


def test_copies_and_noise_have_known_scores(folders):
    rows = scores_of("test", "--reference", "test", "--train", "test")["rows"]
    assert rows["generated"]["coverage_iou"] == rows["generated"]["copies"] == 1
    assert rows["generated"]["minimum_matching_distance_chamfer"] == 0
    # a training shape is not a copy of itself
    assert rows["training set"]["copies"] == rows["noise"]["copies"] == 0
    assert rows["noise"]["voxels"] == pytest.approx(rows["reference"]["voxels"], rel=0.1)
    assert rows["noise"]["largest_piece"] < rows["generated"]["largest_piece"] == 1


def test_the_seed_determines_the_random_choice(folders):
    argv = ["made", "--reference", "test", "--count", "3", "--seed"]
    first, again, other = (scores_of(*argv, seed)["rows"] for seed in ("1", "1", "2"))
    assert first == again
    assert first["reference"]["nearest_min"] > 0  # without --train, neighbors are others of the reference
    assert first["generated"] != other["generated"]


def test_finer_references_are_pooled_and_every_shape_of_a_batch_counts(folders, rng):
    fill(folders / "fine", rng, 3, edge=32)
    (folders / "batches").mkdir()
    np.save(folders / "batches" / "a.npy", rng.random((4, 16, 16, 16)))
    result = scores_of("batches", "--reference", "fine")
    assert (result["resolution"], result["available"]) == (16, {"generated": 4, "reference": 3})


def test_a_run_is_scored_from_its_checkpoint(folders, rng, capsys):
    fill(folders / "data", rng, 4, edge=32)
    run = save_run("run")
    assert evaluate.main(["-n", "run", "-le", "1", "--reference", "data", "--count", "3"]) == 0
    result = json.loads(run.evaluation(1).read_text(encoding="utf-8"))
    assert result["generated"] == "run run, epoch 1"
    assert (result["count"], result["resolution"]) == (3, 32)
    assert str(run.evaluation(1)) in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["nowhere", "--reference", "test"], "nowhere: no such folder"),
        (["one", "--reference", "test"], "one: contains a single shape"),
        (["made", "--reference", "other"], "12³, which does not fit the resolution 16. All grids"),
        (["-n", "nobody", "--reference", "test"], "nobody: no checkpoints of this run"),
    ],
)
def test_sets_that_cannot_be_scored_are_reported_in_one_sentence(folders, rng, capsys, argv, said):
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
    ],
)
def test_invalid_combinations_exit_with_code_2(options):
    with pytest.raises(SystemExit) as ended:
        evaluate.main([*options.split(), "--reference", "test"])
    assert ended.value.code == 2
