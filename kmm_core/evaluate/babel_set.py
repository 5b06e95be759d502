"""BABEL as an evaluation set, as TEACH and FlowMDM measure on it. ``formats.babel`` says which folder is expected.

Every label with times is a clip: 30 to 200 frames at 30 fps, "transition" left out. The validation split is the one to
test on, since BABEL's test labels are not public. Frames are picked from the recording as TEACH's preparation picks them,
without interpolation. Not repeated: TEACH's list of corrected spellings.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from ..clip import MotionClip
from ..errors import KmmError
from ..formats.amass import read_smpl_motion, to_smpl_motion
from ..formats.babel import BabelRecording, read_babel, true_rate
from ..motion import representation_135
from ..motion.smpl_motion import SmplMotion
from .evaluation_set import EvaluationClip, EvaluationSet, Features, RealTimeline

FPS = representation_135.FPS
SHORTEST, LONGEST = 30, 200
# Labelled segments further apart than this, frames, are no sequence, unless a transition lies between.
LARGEST_GAP = 60
TRANSITION = "transition"
# Two poses that annotators spelled in several ways; equal captions are no mismatch.
_ONE_SPELLING = {"t pose": "t-pose", "tpose": "t-pose", "a pose": "a-pose", "apose": "a-pose"}

Tagger = Callable[[str], str]
# First frame, last frame + 1, caption.
_Segment = tuple[int, int, str]


def babel_set(
    folder: str | Path,
    split: str = "val",
    *,
    tagger: Tagger | None = None,
    sequence_labels: bool = False,
) -> EvaluationSet:
    """The labelled segments of one split, and the recordings that hold several of them as timelines.

    Equal captions have equal meaning.

    Args:
        folder: see ``formats.babel``.
        split: "val" or "train".
        tagger: turns a caption into tagged words, for the released evaluator; see ``spacy_tagger``.
        sequence_labels: whether to include recordings that only have labels of the whole recording, each as one clip
            with all its labels. The published protocol leaves them out.

    Raises:
        KmmError: ``bad_babel``; ``no_clips`` where none can be used. Recordings whose AMASS file is missing or broken
            are left out and counted.
    """
    left_out: Counter[str] = Counter()
    clips, timelines = _read(Path(folder), split, tagger, sequence_labels, left_out)
    return EvaluationSet(
        kind="babel",
        representation="135",
        fps=FPS,
        clips=clips,
        load_train=lambda: _read(Path(folder), "train", tagger, sequence_labels, Counter())[0],
        encode=encode,
        positions=representation_135.recover_positions,
        timelines=timelines,
        left_out=dict(left_out),
    )


def encode(clip: MotionClip) -> Features:
    """BABEL's features [F, 135] of a clip of the canonical skeleton, at any frame rate."""
    return representation_135.encode(to_smpl_motion(clip if clip.fps == FPS else clip.resample(FPS)))


def spacy_tagger() -> Tagger:
    """Tags words as the released evaluators' texts were tagged: by spaCy, nouns and verbs in their basic form.

    Raises:
        KmmError: ``spacy_missing``.
    """
    try:
        import spacy

        language = spacy.load("en_core_web_sm")
    except (ImportError, OSError) as error:
        raise KmmError(
            "spacy_missing",
            f"The released BABEL evaluator reads words with their parts of speech, which needs spaCy ({error}).",
            "Run: pip install spacy && python -m spacy download en_core_web_sm.",
        ) from None

    def tag(caption: str) -> str:
        words = []
        for token in language(caption.replace("-", "")):
            # spaCy's basic form of "left" is "leave".
            basic = token.pos_ in ("NOUN", "VERB") and token.text != "left"
            if token.text.isalpha():
                words.append(f"{token.lemma_ if basic else token.text}/{token.pos_}")
        return " ".join(words)

    return tag


def at_30_fps(motion: SmplMotion, name: str) -> SmplMotion | None:
    """The frames that TEACH keeps of an AMASS file; None where it has less than 30 a second.

    Args:
        motion: of the whole file.
        name: the file's path, which tells some wrong frame rates.
    """
    rate = true_rate(name, motion.fps)
    if rate < FPS:
        return None
    count = int(FPS / rate * len(motion))
    chosen = np.linspace(0, len(motion) - 1, count, dtype=int)
    return SmplMotion(motion.rotations[chosen], motion.translation[chosen], FPS)


def _read(
    folder: Path, split: str, tagger: Tagger | None, sequence_labels: bool, left_out: Counter[str]
) -> tuple[list[EvaluationClip], list[RealTimeline]]:
    clips, timelines = [], []
    for recording in read_babel(folder, split):
        if recording.whole and not sequence_labels:
            left_out["recordings without times"] += 1
            continue
        motion = _motion(recording, left_out)
        if motion is None:
            continue
        segments = _segments(recording, len(motion))
        for number, (start, stop, caption) in enumerate(segments):
            if caption == TRANSITION:
                left_out["transitions"] += 1
            elif not SHORTEST <= stop - start <= LONGEST:
                left_out["too short or too long"] += 1
            else:
                clips.append(
                    EvaluationClip(
                        name=f"{recording.id}-{number}",
                        features=representation_135.encode(motion.frames(slice(start, stop))),
                        captions=(caption,),
                        tagged=(tagger(caption) if tagger else caption,),
                        meaning=caption,
                    )
                )
        timelines += list(_timelines(recording.id, segments, motion))
    return clips, timelines


def _motion(recording: BabelRecording, left_out: Counter[str]) -> SmplMotion | None:
    if recording.motion is None:
        left_out["recordings without their AMASS file"] += 1
        return None
    try:
        motion = at_30_fps(read_smpl_motion(recording.motion), recording.motion.as_posix())
    except KmmError:
        left_out["recordings whose AMASS file is broken"] += 1
        return None
    if motion is None or not len(motion):
        left_out["recordings below 30 frames a second"] += 1
        return None
    return motion


def _segments(recording: BabelRecording, frames: int) -> list[_Segment]:
    """Labels in frames, by their start."""
    if recording.whole:
        return [(0, frames, ", ".join(_spelled(label.text) for label in recording.labels))]
    return [
        (max(0, int(label.start * FPS)), min(frames, int(label.end * FPS)), _spelled(label.text))
        for label in recording.labels
    ]


def _spelled(text: str) -> str:
    text = " ".join(text.lower().split())
    return _ONE_SPELLING.get(text, text)


def _timelines(name: str, segments: Sequence[_Segment], motion: SmplMotion) -> Iterator[RealTimeline]:
    """Segments that follow one another; an overlap or a gap is shared by halves, as in FlowMDM.

    One that lies inside the one before, or begins or ends less than 30 frames after it, is done at the same time and
    is passed over (ours).
    """
    chain: list[_Segment] = []
    transitions = [segment for segment in segments if segment[2] == TRANSITION]
    for segment in segments:
        start, stop, caption = segment
        if caption == TRANSITION or stop - start < SHORTEST:
            continue
        if chain and not _near(chain[-1][1], start, transitions):
            yield from _timeline(name, chain, motion)
            chain = []
        if not chain or (start - chain[-1][0] >= SHORTEST and stop - chain[-1][1] >= SHORTEST):
            chain.append(segment)
    yield from _timeline(name, chain, motion)


def _near(stop: int, start: int, transitions: Sequence[_Segment]) -> bool:
    """Whether the gap from ``stop`` to ``start`` is small, or a transition fills it."""
    return start - stop <= LARGEST_GAP or any(
        first <= stop + LARGEST_GAP and last >= start - LARGEST_GAP for first, last, _ in transitions
    )


def _timeline(name: str, chain: Sequence[_Segment], motion: SmplMotion) -> Iterator[RealTimeline]:
    if len(chain) < 2:
        return
    seams = [(before[1] + after[0]) // 2 for before, after in pairwise(chain)]
    edges = [chain[0][0], *seams, chain[-1][1]]
    stretch = motion.frames(slice(edges[0], edges[-1]))
    yield RealTimeline(
        name=f"{name}@{edges[0]}",
        part=lambda first, last: representation_135.encode(stretch.frames(slice(first, last))),
        captions=tuple(caption for _, _, caption in chain),
        frames=tuple(last - first for first, last in pairwise(edges)),
    )
