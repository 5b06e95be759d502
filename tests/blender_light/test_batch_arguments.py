"""The command line of kmm_batch.py."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from kmm_blender.batch.arguments import parse
from kmm_core.errors import KmmError


def test_what_is_not_given_does_not_appear_so_that_the_blend_decides():
    options = parse([])
    assert options.settings == {}
    assert (
        options.shots is options.summary is options.backend_python is options.device is options.model is None
    )
    assert options.timeout == 600


def test_the_command_line_of_the_documentation():
    words = (
        "--timeline shots.json --armature Rig --seed 1 --takes 2 --action shot_010 --save out.blend "
        "--export out.fbx --export out.glb --render //frames/ --engine workbench --start -20 --no-foot-cleanup --fk"
    )
    assert parse(words.split()).settings == {
        "timeline": "shots.json",
        "armature": "Rig",
        "seed": "1",
        "takes": "2",
        "action": "shot_010",
        "save": "out.blend",
        "export": ["out.fbx", "out.glb"],
        "render": ["//frames/"],
        "engine": "workbench",
        "start": "-20",
        "foot_cleanup": False,
        "fk": True,
    }


def test_options_of_the_whole_run():
    options = parse(
        shlex.split("--shots s.json --backend-python /x/python --device cpu --model starter-nc --timeout 9")
    )
    assert (options.shots, options.backend_python) == (Path("s.json"), Path("/x/python"))
    assert (options.device, options.model, options.timeout) == ("cpu", "starter-nc", 9)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--timelin a.json", "Unrecognized arguments: --timelin a.json"),
        ("--seed", "--seed: expected one argument"),
        ("--device tpu", "invalid choice: 'tpu'"),
        ("--timeout 0", "expected a number of seconds above 0"),
        ("--timeout nan", "expected a number of seconds above 0"),
        ("--timeout soon", "invalid float value: 'soon'"),
        ("--timeline a.json --shots b.json", "Both --timeline and --shots"),
    ],
)
def test_bad_arguments(words, said):
    with pytest.raises(KmmError, match=said) as caught:
        parse(words.split())
    assert caught.value.code == "bad_argument"
    assert " -- " not in caught.value.hint  # with -c kmm there are no dashes to put anything behind


def test_no_option_begins_like_those_that_cycles_reads(capsys):
    with pytest.raises(SystemExit):
        parse(["--help"])
    text = capsys.readouterr().out
    assert "usage: blender -b [FILE.blend] -c kmm [options]" in text
    assert "--timeline" in text and "exit codes" in text
    assert "--cycles" not in text
