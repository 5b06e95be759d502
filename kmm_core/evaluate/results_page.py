"""Writes docs/results.md, docs/results.json and their pictures from what ``starter_report`` measured."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path

from ..atomic_write import atomic_write
from .starter_report import BundleFigures, Judged

PICTURES_EACH = 8


def machine() -> dict[str, str]:
    """Date, processor, versions and commit of this run."""
    import torch

    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [
            line.split(":", 1)[1].strip()
            for line in info.read_text().splitlines()
            if line.startswith("model name")
        ]
        cpu = f"{names[0]}, {len(names)} cores" if names else cpu
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    return {
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{cpu}; {platform.system()}",
        "load": load,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "commit": _commit() or "unknown",
    }


def _commit() -> str:
    """That of this code, wherever the command runs; "" where git does not keep it, or there is no git."""
    file = Path(__file__)
    # The second name fails where the code was installed into somebody else's repository.
    names = ("HEAD", f"HEAD:./{file.name}")
    with suppress(OSError):
        command = ["git", "-C", str(file.parent), "rev-parse", *names]
        # Bytes: git may complain with a path, and not in the system's code page.
        found = subprocess.run(command, capture_output=True, check=False)
        return found.stdout[:7].decode() if found.returncode == 0 else ""
    return ""


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def _pictures(bundle: BundleFigures, folder: Path) -> list[tuple[str, str]]:
    """Draws contact sheets. Returns (file name, caption) of each."""
    from ..render import contact_sheet

    def one_of_each(items: Sequence[Judged]) -> list[Judged]:
        seen = {}
        for item in items:
            seen.setdefault((item.spec.judge, item.spec.side), item)
        return list(seen.values())

    sides = [item for item in bundle.judged if item.spec.side]
    actions = [item for item in bundle.judged if not item.spec.side]
    sheets = [
        ("sides", "The first prompt of each kind that names a side, left and right", one_of_each(sides)),
        ("actions", "The first prompt of each action", one_of_each(actions)),
        (
            "by-eye",
            "Dances, which geometry cannot tell",
            [item for item in actions if "by eye" in item.spec.judge],
        ),
        ("wrong", "Judged wrong", spread([item for item in bundle.judged if not item.verdict.correct], 12)),
    ]
    timeline, clip = bundle.sequences[0]
    rows = [(clip.slice(prompt.start, prompt.end), prompt.text) for prompt in timeline.prompts]
    drawn = [("sequence", "Six prompts in one pass, one row a prompt", rows)]
    for name, caption, items in sheets:
        rows = [(item.clip, f"{'' if item.verdict.correct else 'WRONG: '}{item.spec.text}") for item in items]
        drawn.append((name, caption, rows))
    files = []
    for name, caption, rows in drawn:
        if rows:
            path = folder / f"{bundle.name}-{name}.png"
            clips, titles = zip(*rows, strict=True)
            contact_sheet(clips, path, titles=titles, columns=PICTURES_EACH, cell=(112, 128))
            _fewer_colours(path)
            files.append((path.name, caption))
    return files


def _fewer_colours(path: Path) -> None:
    """Makes a picture about four times smaller; it goes into the repository."""
    from PIL import Image

    with Image.open(path) as picture:
        small = picture.convert("RGB").quantize(64)
    with atomic_write(path) as temporary:
        small.save(temporary, format="PNG", optimize=True)


def spread(items: Sequence, most: int) -> list:
    """At most ``most`` of the items, evenly spread over them."""
    count = min(len(items), most)
    return [items[i * len(items) // count] for i in range(count)]


def _bundle_section(bundle: BundleFigures, pictures: Sequence[tuple[str, str]]) -> str:
    words = {True: "pass", False: "**miss**", None: ""}
    rows = [[f.what, f.target, f.measured, words[f.passed]] for f in bundle.figures]
    wrong = [item for item in bundle.judged if not item.verdict.correct]
    parts = [
        f"## {bundle.name}",
        f"Licence: {bundle.info.get('licence', 'not stated')}. Parameters: "
        + ", ".join(f"{name} {count:,}" for name, count in dict(bundle.info.get("parameters", {})).items())
        + f". Text encoder: {bundle.info.get('text_encoder', 'not stated')}.",
        _table(["what", "target", "measured", ""], rows),
        f"{len(wrong)} of {len(bundle.judged)} prompts were judged wrong; each stands in `results.json` with the reason.",
        *[f"{caption}:\n\n![{caption}](images/{file})" for file, caption in pictures],
    ]
    return "\n\n".join(parts)


def _as_section(page: Path, folder: Path) -> str:
    """A page as a section of another one in ``folder``: headings one level down, pictures found from there."""
    text = re.sub(r"^#", "##", page.read_text(encoding="utf-8").strip(), flags=re.MULTILINE)

    def moved(link: re.Match[str]) -> str:
        return f"]({link_from(folder, page.parent / link[1])})"

    return re.sub(r"\]\(([^)\s:]+\.png)\)", moved, text)


def link_from(folder: Path, file: Path) -> str:
    """How a page in ``folder`` refers to a file: by a relative path, or an absolute one if it is on another Windows
    drive.
    """
    try:
        return Path(os.path.relpath(file, folder)).as_posix()
    except ValueError:
        return file.absolute().as_uri()


def write_results(
    bundles: Sequence[BundleFigures],
    page: Path,
    *,
    about: dict[str, str],
    data: str,
    benchmarks: Sequence[Path] = (),
) -> None:
    """Writes the page, the JSON beside it and the pictures in ``images/`` beside it.

    Args:
        bundles: what was measured.
        page: the ``.md`` file.
        about: see ``machine``.
        data: one sentence on the held-out clips.
        benchmarks: pages of other benchmarks, shown as they are.
    """
    images = page.parent / "images"
    images.mkdir(parents=True, exist_ok=True)
    sections = [_bundle_section(bundle, _pictures(bundle, images)) for bundle in bundles]
    text = "\n\n".join(
        [
            "# Results",
            "Written by `benchmarks/starter_report.py`; do not edit. "
            + "; ".join(f"{name} {value}" for name, value in about.items())
            + ".",
            data + " The judges are geometry (`kmm_core/evaluate/verdicts.py`), no network.",
            *sections,
            *(_as_section(path, page.parent) for path in benchmarks),
        ]
    )
    content = {
        "about": about,
        "data": data,
        "bundles": [
            {
                "name": bundle.name,
                "info": bundle.info,
                "figures": [vars(figure) for figure in bundle.figures],
                "prompts": [
                    {
                        "text": item.spec.text,
                        "judge": item.spec.judge,
                        "side": item.spec.side,
                        "seed": item.seed,
                        "correct": bool(item.verdict.correct),
                        "reason": item.verdict.reason,
                    }
                    for item in bundle.judged
                ],
            }
            for bundle in bundles
        ],
    }
    for path, body in (
        (page, text + "\n"),
        (page.with_suffix(".json"), json.dumps(content, indent=1) + "\n"),
    ):
        with atomic_write(path) as temporary:
            Path(temporary).write_text(body, encoding="utf-8")
