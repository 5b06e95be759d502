"""Shots of a batch: from the command line, a folder, a JSON list; what each may say."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from kmm_blender.batch.arguments import parse
from kmm_blender.batch.shots import Shot, action_name, list_shots, numbered
from kmm_core.errors import KmmError


def shots_of(*words: str) -> list[Shot]:
    return [Shot.from_settings(settings) for settings in list_shots(parse(words))]


def write_list(tmp_path: Path, *entries: object) -> str:
    path = tmp_path / "the shots.json"
    path.write_text(json.dumps(entries), encoding="utf-8")
    return str(path)


def test_one_shot_from_the_command_line():
    (shot,) = shots_of(
        *shlex.split(
            "--timeline a/walk.srt --seed 2147483647 --takes 2 --save o.Blend --engine cycles --root object"
        ),
        *shlex.split("--start-from pose --quality draft --guidance 0 --resolution 640x362 --start -10"),
        *shlex.split("--render f/ --render f.MP4 --export o.fbx --reduce-keys"),
    )
    assert shot == Shot(
        name="walk",
        timeline="a/walk.srt",
        seed=2147483647,
        takes=2,
        save="o.Blend",
        engine="CYCLES",
        root="OBJECT",
        start_from="POSE",
        quality="DRAFT",
        guidance=0,
        resolution=(640, 362),
        start=-10,
        render=("f/", "f.MP4"),
        export=("o.fbx",),
        reduce_keys=True,
        action="walk",
    )


def test_without_a_timeline_the_blend_has_the_prompts():
    (shot,) = shots_of()
    assert (shot.name, shot.timeline, shot.seed, shot.action) == ("shot", None, None, "shot")
    (shot,) = shots_of("--action", "Läuft 動")
    assert shot.name == shot.action == "Läuft 動"


def test_an_action_may_have_a_name_that_no_file_can_have():
    (shot,) = shots_of("--timeline", "a/walk.srt", "--action", "Rig:walk/01")
    assert (shot.name, shot.action) == ("walk", "Rig:walk/01")


def test_a_folder_is_a_batch_of_its_timelines(tmp_path):
    folder = tmp_path / "all shots"
    folder.mkdir()
    for name in ("b.srt", "a.json", "c.txt", "notes.md"):
        (folder / name).touch()
    shots = shots_of("--shots", str(folder), "--seed", "3", "--save", "out/{shot}.blend")
    assert [shot.name for shot in shots] == ["a", "b", "c"]
    assert [shot.timeline for shot in shots] == [str(folder / name) for name in ("a.json", "b.srt", "c.txt")]
    assert [shot.seed for shot in shots] == [3, 3, 3]
    assert shots[0].path(shots[0].save) == "out/a.blend"


def test_a_list_beside_the_timelines_is_no_timeline(tmp_path):
    """The folder of the examples has both; what is no list of shots is still tried, and reported."""
    examples = Path(__file__).parents[2] / "examples" / "headless"
    assert [shot.name for shot in shots_of("--shots", str(examples))] == ["jump", "walk_and_wave"]
    (tmp_path / "numbers.json").write_text("[1, 2]")
    write_list(tmp_path, {"name": "a"})
    assert [shot.name for shot in shots_of("--shots", str(tmp_path))] == ["numbers"]
    (tmp_path / "numbers.json").unlink()
    with pytest.raises(KmmError, match="holds no timeline"):
        shots_of("--shots", str(tmp_path))


def test_a_list_has_defaults_from_the_command_line_and_paths_beside_itself(tmp_path):
    shots = shots_of(
        "--shots",
        write_list(
            tmp_path,
            {"name": "shot_010", "timeline": "walk.json", "blend": "chars/a.blend"},
            {"timeline": "run.csv", "seed": 9, "takes": 2, "render": "r/{shot}/", "foot_cleanup": False},
        ),
        "--seed",
        "3",
    )
    assert [(shot.name, shot.seed, shot.takes) for shot in shots] == [("shot_010", 3, 1), ("run", 9, 2)]
    assert shots[0].timeline == str(tmp_path / "walk.json")
    assert shots[0].blend == str(tmp_path / "chars/a.blend")
    assert shots[1].render == ("r/{shot}/",) and shots[1].foot_cleanup is False


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[", "is not complete JSON"),
        ("{}", "is not a list of shots"),
        ("[]", "is not a list of shots"),
        ("[3]", "is not a list of shots"),
        ("3", "is not a list of shots"),
        ('[{"name": "a"}, {"name": "a"}]', 'Two shots are called "a"'),
        (
            '[{"name": "a", "save": "x.blend"}, {"name": "b", "save": "x.blend"}]',
            '"a" and "b" would both write x.blend',
        ),
    ],
)
def test_lists_that_make_no_batch(tmp_path, content, said):
    path = tmp_path / "shots.json"
    path.write_text(content)
    with pytest.raises(KmmError, match=said) as caught:
        list_shots(parse(["--shots", str(path)]))
    assert caught.value.code == "bad_shots"


def test_paths_beside_the_blend_are_left_to_blender(tmp_path):
    (shot,) = shots_of("--shots", write_list(tmp_path, {"timeline": "//walk.srt", "blend": "//a.blend"}))
    assert (shot.name, shot.timeline, shot.blend) == ("walk", "//walk.srt", "//a.blend")
    options = parse(
        ["--summary", "//s.json", "--model", "//m", "--timeline", "//t.srt"],
        lambda path: path.replace("//", "/b/"),
    )
    assert (options.summary, options.model) == (Path("/b/s.json"), "/b/m")
    assert options.settings["timeline"] == "//t.srt"  # a shot may have a .blend of its own


def test_missing_list_and_empty_folder(tmp_path, monkeypatch):
    with pytest.raises(KmmError, match="No such file"):
        list_shots(parse(["--shots", str(tmp_path / "none.json")]))
    with pytest.raises(KmmError, match="holds no timeline"):
        list_shots(parse(["--shots", str(tmp_path)]))

    def forbidden(folder):
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(Path, "iterdir", forbidden)
    with pytest.raises(KmmError, match=r"Cannot read .*: Permission denied"):
        list_shots(parse(["--shots", str(tmp_path)]))


def test_one_output_for_the_whole_batch_is_refused_at_once(tmp_path):
    path = write_list(tmp_path, {"name": "a"}, {"name": "b"})
    with pytest.raises(KmmError, match=r"would both write o\.fbx"):
        list_shots(parse(["--shots", path, "--export", "o.fbx"]))
    assert len(list_shots(parse(["--shots", path, "--export", "{shot}.fbx"]))) == 2


def test_shots_that_write_one_file_in_other_words_are_refused(tmp_path):
    for entries, said in (
        # Each with {shot} in it, and walk's second take would be lost.
        (
            ({"name": "walk", "takes": 2}, {"name": "walk_2"}),
            r'"walk" and "walk_2" would both write o/walk_2\.fbx',
        ),
        (({"name": "a", "export": "o/x.fbx"}, {"name": "b", "export": "o//./x.fbx"}), "would both write"),
        (({"name": "a", "takes": 2, "render": "f/"}, {"name": "b", "render": ["g/", "f/1/"]}), "write f/1/"),
    ):
        with pytest.raises(KmmError, match=said):
            list_shots(parse(["--shots", write_list(tmp_path, *entries), "--export", "o/{shot}.fbx"]))


def test_the_same_name_beside_two_blends_is_two_files(tmp_path):
    chars = ({"name": "a", "blend": "a/char.blend"}, {"name": "b", "blend": "b/char.blend"})
    words = ["--shots", write_list(tmp_path, *chars), "--save", "//walk.blend", "--render", "//frames/"]
    assert len(list_shots(parse(words))) == 2
    words[1] = write_list(tmp_path, chars[0], {"name": "b", "blend": "a/other.blend"})
    with pytest.raises(KmmError, match="would both write"):
        list_shots(parse(words))


@pytest.mark.parametrize(
    "wrong", [{"render": True}, {"export": 5}, {"save": ["a.blend"]}, {"takes": "two"}, {"name": 5}]
)
def test_an_entry_that_says_nonsense_is_that_shots_own_failure(tmp_path, wrong):
    bad, good = list_shots(parse(["--shots", write_list(tmp_path, {"name": "a"} | wrong, {"name": "b"})]))
    with pytest.raises(KmmError, match=f"{next(iter(wrong))}: .* was given; expected"):
        Shot.from_settings(bad)
    assert Shot.from_settings(good).name == "b"


def test_bad_settings_of_the_command_line_stop_a_batch_and_those_of_an_entry_do_not(tmp_path):
    path = write_list(tmp_path, {"name": "a", "seed": -1}, {"name": "b"})
    with pytest.raises(KmmError, match="takes: '0'"):
        list_shots(parse(["--shots", path, "--takes", "0"]))
    bad, good = list_shots(parse(["--shots", path]))
    with pytest.raises(KmmError, match="seed: '-1' was given; expected a whole number"):
        Shot.from_settings(bad)
    assert Shot.from_settings(good).name == "b"


@pytest.mark.parametrize(
    ("setting", "value", "expected"),
    [
        ("seed", "1.5", "a whole number from 0"),
        ("seed", 1.5, "a whole number from 0"),
        ("seed", True, "a whole number from 0"),
        ("seed", 2**31, "a whole number from 0"),
        ("takes", "17", "from 1 to 16"),
        ("start", "now", "a whole number"),
        ("guidance", "nan", "a number from 0 to 20"),
        ("guidance", 20.5, "a number from 0 to 20"),
        ("guidance", True, "a number from 0 to 20"),
        ("guidance", None.__class__, "a number from 0 to 20"),
        ("quality", "great", "draft or standard or best"),
        ("engine", "luxcore", "workbench or cycles or eevee"),
        ("root", 3, "bone or object"),
        ("foot_cleanup", "yes", "true or false"),
        ("fk", 1, "true or false"),
        ("save", "out.fbx", r"ends in \.blend"),
        ("export", "out.usd", r"end in \.fbx, \.glb, \.bvh"),
        ("export", ["out.bvh", 3], r"end in \.fbx, \.glb, \.bvh"),
        (
            "save",
            "out/{Shot}.blend",
            r"'\{Shot\}' was given; expected \{shot\}, which becomes the shot's name",
        ),
        ("export", ["{shot}/{take}.fbx"], r"'\{take\}' was given; expected \{shot\}"),
        ("render", "out/{ shot }/", r"'\{ shot \}' was given; expected \{shot\}"),
        ("render", "frames", "a folder that ends in /"),
        ("render", "film.avi", "a folder that ends in /"),
        ("resolution", "640", "such as 1280x720"),
        ("resolution", "641x360", "even numbers"),
        ("resolution", "640x361", "even numbers"),
        ("resolution", "0x360", "a whole number from 16"),
        ("armature", "  ", "a text"),
        ("name", "a/b", "part of a file name"),
        ("name", "..", "part of a file name"),
        ("sead", 1, "is not a setting of a shot"),
    ],
)
def test_settings_that_a_shot_cannot_have(setting, value, expected):
    with pytest.raises(KmmError, match=expected) as caught:
        Shot.from_settings({"name": "a", setting: value})
    assert caught.value.code == "bad_shot"


def test_null_in_a_list_means_as_the_blend_has_it():
    assert Shot.from_settings({"name": "a", "seed": None}).seed is None


def test_null_as_a_name_is_no_name(tmp_path):
    (shot,) = shots_of("--shots", write_list(tmp_path, {"name": None, "timeline": "walk.srt"}))
    assert shot.name == "walk"


def test_files_and_actions_of_several_takes_are_numbered():
    assert numbered("a/walk.fbx", 1, 1) == "a/walk.fbx"
    assert numbered("a.b/walk.fbx", 2, 3) == "a.b/walk_2.fbx"
    assert numbered("//frames/", 2, 3) == "//frames/2/"
    assert action_name(Shot(name="s", action="walk"), 1) == "walk"
    assert action_name(Shot(name="s", action="walk", takes=12), 11) == "walk_11"


def test_long_action_names_keep_their_number_and_whole_letters():
    name = action_name(Shot(name="s", action="動" * 40, takes=2), 2)
    assert name == "動" * 20 + "_2" and len(name.encode()) <= 63
