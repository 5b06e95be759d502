"""The summary of a batch and its exit code."""

from __future__ import annotations

import json

import pytest

from kmm_blender.batch import exit_codes
from kmm_blender.batch.summary import ShotReport, Summary, TakeReport
from kmm_core.errors import KmmError


def test_written_as_json_with_what_a_farm_needs(tmp_path):
    summary = Summary("5.2.3", planned=3, backend={"model": "starter"})
    good = ShotReport("Läuft", seed=4, takes=[TakeReport("walk", 1, 60, exported=["o.fbx"])])
    bad = ShotReport("b")
    bad.fail(exit_codes.RENDER_FAILED, KmmError("render_failed", "No camera.", "Add one."))
    summary.shots += [good, bad]
    path = tmp_path / "made on the way" / "summary ü.json"
    summary.write(path)
    content = json.loads(path.read_text(encoding="utf-8"))
    assert (content["exit_code"], content["planned"], content["done"], content["failed"]) == (5, 3, 1, 1)
    assert content["backend"] == {"model": "starter"} and content["blender"] == "5.2.3"
    first, second = content["shots"]
    assert first["name"] == "Läuft" and first["exit_code"] == 0 and first["error"] is None
    assert first["takes"] == [
        {"action": "walk", "first_frame": 1, "last_frame": 60, "exported": ["o.fbx"], "rendered": []}
    ]
    assert second["error"] == {"code": "render_failed", "message": "No camera.", "hint": "Add one."}


def test_a_name_that_is_no_text_does_not_stop_the_batch(tmp_path):
    name = b"jump\xe9".decode("utf-8", "surrogateescape")  # as Linux gives a file's name from an old archive
    Summary("5.2.3", shots=[ShotReport(name)]).write(tmp_path / "summary.json")
    content = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    assert content["shots"][0]["name"] == name


@pytest.mark.parametrize(("codes", "expected"), [([], 0), ([0, 0], 0), ([0, 4, 5], 4), ([2, 0], 2)])
def test_the_first_failure_decides_the_exit_code(codes, expected):
    summary = Summary("5.2.3", shots=[ShotReport(str(code), exit_code=code) for code in codes])
    assert summary.exit_code == expected


def test_exit_codes_differ_and_leave_1_to_python():
    values = [value for name, value in vars(exit_codes).items() if name.isupper()]
    assert len(values) == len(set(values)) == 6 and 1 not in values


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(KmmError, match="summary.json"):
        Summary("5.2.3").write(tmp_path / "file" / "summary.json")
