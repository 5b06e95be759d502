"""Measures bundles against the figures to reach and writes docs/results.md.

python benchmarks/starter_report.py --bundles starter starter-nc --prepared PREPARED --out docs/results.md
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from kmm_core.errors import KmmError
from kmm_core.evaluate import results_page, starter_report
from kmm_core.train.prepared import load_clip, read_manifest


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundles", nargs="+", default=["starter", "starter-nc"], help="names or folders")
    parser.add_argument("--prepared", type=Path, required=True, help="what `kmm-train prepare` wrote")
    parser.add_argument("--out", type=Path, default=Path("docs/results.md"))
    parser.add_argument(
        "--benchmarks",
        type=Path,
        nargs="*",
        default=sorted(Path("docs/benchmarks").glob("*_*.md")),
        help="pages to append: what other commands measured",
    )
    options = parser.parse_args()
    started = time.perf_counter()

    def note(text: str) -> None:
        print(f"[{time.perf_counter() - started:5.0f} s] {text}", file=sys.stderr, flush=True)

    try:
        rows = read_manifest(options.prepared)
        captions = [text for row in rows for text in (*row.captions, *row.mirrored_captions)]
        measured = []
        for bundle in options.bundles:
            free = "nc" not in Path(bundle).name.split("-")
            # A clip stays out for whichever reason: the bundle has seen it, or may not see it.
            chosen = [row for row in rows if row.split != "train" and not (free and row.noncommercial)]
            clips = [(row.labels, load_clip(options.prepared / row.source, row)) for row in chosen]
            note(f"{bundle}: {len(clips)} held-out clips")
            measured.append(starter_report.measure_bundle(bundle, clips, captions, progress=note))
        held_out = sum(row.split != "train" for row in rows)
        data = f"Held out by a fixed split: {held_out} of {len(rows)} prepared clips (each bundle is measured on those of its own licence). "
        data += (
            "Held out are takes, not people or actions: many of Bandai Namco's are repetitions by the same actor in the same session, so "
            "figures of starter-nc are those of one more take of what it knows (docs/decisions/0042)."
        )
        results_page.write_results(
            measured,
            options.out,
            about=results_page.machine(),
            data=data,
            benchmarks=options.benchmarks,
        )
    except KmmError as error:
        print(error, file=sys.stderr)
        return 1
    note(f"wrote {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
