"""Settings files: values arrive, every problem is listed at once, overrides and extends work."""

from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Literal, Optional

import pytest

from kmm_core.bundle import bundle_folder, read_config
from kmm_core.errors import KmmError
from training import config
from training.recipes import load_recipe


@dataclass(frozen=True)
class Inner:
    rate: float = 0.1
    kind: Literal["a", "b"] = "a"

    def __post_init__(self):
        if self.rate <= 0:
            raise KmmError("bad_settings", f"rate={self.rate} must be above 0.")


@dataclass(frozen=True)
class Outer:
    count: int = 1
    name: str = "x"
    on: bool = False
    folder: Path = Path(".")
    sizes: tuple[int, ...] = ()
    pair: tuple[float, float] = (0.0, 1.0)
    names: list[str] = field(default_factory=list)
    limits: dict[str, float] = field(default_factory=dict)
    maybe: Optional[int] = None  # noqa: UP045 - the checker must know both spellings
    either: int | str = 0
    inner: Inner = field(default_factory=Inner)

    def __post_init__(self):
        if self.count < 1:
            raise KmmError("bad_settings", f"count={self.count} must be at least 1.")
        if len(self.sizes) > self.count:
            raise ValueError("more sizes than count.")


def problems(cls, table) -> list[str]:
    with pytest.raises(KmmError) as caught:
        config.build(cls, table, name="x.toml")
    assert caught.value.code == "bad_config"
    heading, *lines = str(caught.value).splitlines()
    assert heading == f"x.toml has {len(lines)} problem{'s' if len(lines) > 1 else ''}:"
    return [line.split(". ", 1)[1] for line in lines]


def test_values_arrive_with_their_types():
    table = {
        "count": 3,
        "name": "y",
        "on": True,
        "folder": "data",
        "sizes": [1, 2],
        "pair": [1, 2.5],
        "names": ["n", "m"],
        "limits": {"low": 1},
        "maybe": 4,
        "either": "text",
        "inner": {"rate": 2, "kind": "b"},
    }
    assert config.build(Outer, table, name="x") == Outer(
        3, "y", True, Path("data"), (1, 2), (1.0, 2.5), ["n", "m"], {"low": 1.0}, 4, "text", Inner(2.0, "b")
    )
    assert type(config.build(Outer, table, name="x").inner.rate) is float


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ({"cuont": 1}, "cuont is not a setting; did you mean count?"),
        ({"inner": {"zzz": 1}}, "inner.zzz is not a setting; known: rate, kind."),
        ({"count": "3"}, "count is '3'; expected a whole number."),
        ({"count": 3.0}, "count is 3.0; expected a whole number."),
        ({"count": True}, "count is true; expected a whole number."),
        ({"name": 3}, 'name is 3; expected text in quotes, such as "name".'),
        ({"on": 1}, "on is 1; expected true or false."),
        ({"folder": 1}, 'folder is 1; expected a path in quotes, such as "prepared".'),
        ({"sizes": 1}, "sizes is 1; expected a list, such as [1, 2]."),
        ({"sizes": [1, "2"]}, "sizes[1] is '2'; expected a whole number."),
        ({"pair": [1.0]}, "pair has 1 values; expected 2."),
        ({"limits": 1}, "limits is 1; expected a section."),
        ({"limits": {"low": "x"}}, "limits.low is 'x'; expected a number."),
        ({"maybe": "x"}, "maybe is 'x'; expected a whole number."),
        ({"inner": 1}, "inner is 1; expected a section [inner]."),
        ({"inner": {"rate": "1e-05"}}, "inner.rate is '1e-05'; expected a number."),
        ({"inner": {"kind": "c"}}, "inner.kind is 'c'; expected one of 'a', 'b'."),
        ({"inner": {"rate": -1.0}}, "[inner] rate=-1.0 must be above 0."),
        ({"count": 1, "sizes": [1, 2]}, "more sizes than count."),
    ],
)
def test_each_problem_is_named(table, problem):
    assert problems(Outer, table) == [problem]


def test_all_problems_are_listed_at_once():
    table = {"nmae": 1, "count": 0, "pair": [1], "inner": {"rate": 0, "kind": 3}}
    assert problems(Outer, table) == [
        "nmae is not a setting; did you mean name?",
        "pair has 1 values; expected 2.",
        "inner.kind is 3; expected one of 'a', 'b'.",
        "[inner] rate=0.0 must be above 0.",
        "count=0 must be at least 1.",
    ]


def test_range_problems_of_one_section_are_all_listed():
    found = problems(config.RunSettings, {"train": {"tokenizer": {"steps": 0, "batch_size": -1, "seed": -2}}})
    assert found == [
        "[train.tokenizer] steps=0 must be at least 1.",
        "[train.tokenizer] batch_size=-1 must be at least 1.",
        "[train.tokenizer] seed=-2 must be in [0, 2^63).",
    ]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("data.mixed_bodies=1.5", "[data] mixed_bodies=1.5 must be in [0, 1]."),
        ("data.representation=271", None),
        ('data.representation="271"', "[data] Representation '271' is not known"),
        ("rows.captions=0", "[rows] captions=0 must be at least 1."),
        ("rows.balance=nan", "[rows] balance=nan must be in [0, 1]."),
        ("tokenizer.num_codebooks=1", "[tokenizer] num_codebooks=1 must be at least 2."),
        ("tokenizer.dilations=[3, 0]", "[tokenizer] dilations=(3, 0) must be at least 1."),
        ("generator.d_model=0", "[generator] d_model=0 must be at least 1."),
        ("generator.head_width=100", "[generator] head_width=100 does not divide expand * d_model."),
        ("generator.condition_dropout=2", "[generator] condition_dropout=2.0 must be in [0, 1]."),
        ("aligner.start_temperature=0", "[aligner] start_temperature=0.0 must be in [0.001, 100]."),
        ("text.heads=3", "[text] heads=3 does not divide width."),
        ("text.word_dropout=-1", "[text] word_dropout=-1.0 must be in [0, 1]."),
        ("sampling.steps=0", "[sampling] steps=0 must be in [1, 100]."),
        ("sampling.guidance_scale=50", "[sampling] guidance_scale=50.0 must be in [0, 20]."),
        ("sampling.top_p=5", "[sampling] top_p=5.0 must be in [0, 1]."),
    ],
)
def test_values_out_of_range_are_found_before_anything_is_trained(change, problem):
    with pytest.raises(KmmError) as caught:
        config.load("tiny", [change])
    assert caught.value.code == "bad_config" and (problem or "expected text in quotes") in str(caught.value)


def test_a_code_may_be_asked_to_serve_more_than_one_vector_of_each_batch():
    assert config.load("tiny", ["tokenizer.restart_below=2"]).tokenizer.restart_below == 2


def test_overrides_win_and_may_go_without_quotes(tmp_path):
    path = tmp_path / "x.toml"
    path.write_text("[train.tokenizer]\nsteps = 5\nlearning_rate = 0.1\n")
    overrides = [
        "train.tokenizer.steps=7",
        "data.prepared=some/folder",
        'data.sources=["a","b"]',
        "data.mirror=false",
    ]
    settings = config.load(path, overrides)
    assert (settings.train.tokenizer.steps, settings.train.tokenizer.learning_rate) == (7, 0.1)
    assert (settings.data.prepared, settings.data.sources) == ("some/folder", ("a", "b"))
    assert settings.data.mirror is False


def test_wrong_overrides_are_listed_with_the_rest(tmp_path):
    path = tmp_path / "x.toml"
    path.write_text("zzz = 1\n")
    with pytest.raises(KmmError) as caught:
        config.load(path, ["steps", "train.tokenizer.stepz=1", "zzz.a=1"])
    for text in (
        "'steps' is not of the form section.key=value",
        "train.tokenizer.stepz is not a setting; did you mean steps?",
        "zzz is a value, not a section",
        "zzz is not a setting",
    ):
        assert text in str(caught.value)


def test_a_byte_order_mark_is_no_fault(tmp_path):
    (tmp_path / "mine.toml").write_text('extends = "tiny.toml"', encoding="utf-8-sig")
    assert config.load(tmp_path / "mine.toml") == config.load("tiny")


def test_extends_merges_sections(tmp_path):
    (tmp_path / "base.toml").write_text(
        "[train.generator]\nsteps = 5\nseed = 3\n[masking]\nstrategy = 'random'\n"
    )
    (tmp_path / "x.toml").write_text("extends = 'base.toml'\n[train.generator]\nsteps = 6\n")
    settings = config.load(tmp_path / "x.toml")
    assert (settings.train.generator.steps, settings.train.generator.seed) == (6, 3)
    assert settings.masking.strategy == "random"


@pytest.mark.parametrize("base", ["starter.toml", "starter"])
def test_a_file_anywhere_extends_a_packaged_one(tmp_path, base):
    (tmp_path / "mine.toml").write_text(f"extends = '{base}'\n[train.generator]\nsteps = 6\n")
    settings, starter = config.load(tmp_path / "mine.toml"), config.load("starter")
    assert settings.train.generator.steps == 6
    assert replace(settings, train=starter.train) == starter
    # One beside it comes first.
    (tmp_path / "starter.toml").write_text("[train.generator]\nseed = 9\n")
    expected = 9 if base == "starter.toml" else starter.train.generator.seed
    assert config.load(tmp_path / "mine.toml").train.generator.seed == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("extends = 'x.toml'", "extends itself"),
        ("extends = 3", "extends is 3; expected the name of a TOML file"),
        ("extends = 'none.toml'", "none.toml is neither a file nor one of .*starter"),
        ("[broken", "is not TOML"),
        ("\udcff", "is not TOML"),
    ],
)
def test_broken_files_are_one_sentence(tmp_path, text, message):
    path = tmp_path / "x.toml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(KmmError, match=message):
        config.load(path)


def test_unknown_names_list_the_packaged_configs():
    with pytest.raises(KmmError, match=r"neither a file nor one of .*starter, starter-nc, tiny"):
        config.load("startr")


@pytest.mark.parametrize(
    "name", ["tiny", "starter", "distilled", "starter-nc", "finetune", "finetune-nc", "humanml3d", "babel"]
)
def test_packaged_configs_are_valid(name):
    settings = config.load(name)
    assert settings.export.licence != "unknown" and settings.export.credits


@pytest.mark.parametrize(("name", "start"), [("finetune", "starter"), ("finetune-nc", "starter-nc")])
def test_what_is_fine_tuned_decodes_and_is_licensed_as_its_start(name, start):
    settings, before = config.load(name), read_config(bundle_folder(start))
    assert settings.tokenizer_run == settings.generator_start == start
    assert (settings.sampling, settings.export.licence) == (before.sampling, before.licence)
    assert settings.export.credits == before.credits and settings.export.name != before.name


def test_starter_never_sees_noncommercial_data():
    starter, with_nc = config.load("starter"), config.load("starter-nc")
    assert starter.data.sources and "bandai_namco" not in starter.data.sources
    assert set(with_nc.data.sources) - set(starter.data.sources) == {"bandai_namco"}
    assert with_nc.tokenizer == starter.tokenizer and with_nc.generator == starter.generator


def test_a_config_of_noncommercial_sources_says_so():
    """Or evaluate and decay would leave all its held-out clips out."""
    for name in ("tiny", "starter", "starter-nc", "humanml3d", "babel"):
        settings = config.load(name)
        noncommercial = any(load_recipe(source).noncommercial for source in settings.data.sources)
        assert ("NC" in settings.export.licence) == noncommercial, name


def test_every_setting_of_the_tree_can_be_set_to_its_own_default():
    def table(value):
        if is_dataclass(value):
            return {item.name: table(getattr(value, item.name)) for item in fields(value)}
        return list(value) if isinstance(value, tuple) else value

    settings = replace(config.RunSettings(), export=config.ExportSettings(credits=("a",)))
    assert config.build(config.RunSettings, table(settings), name="x") == settings


def test_override_changes_settings_and_names_mistakes():
    settings = config.load("starter")
    changed = config.override(settings, ["sampling.steps=3"])
    assert changed.sampling.steps == 3 and changed.data == settings.data
    with pytest.raises(KmmError, match="sampling.stepz is not a setting"):
        config.override(settings, ["sampling.stepz=3"])
