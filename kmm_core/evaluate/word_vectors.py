"""Word vectors with parts of speech, as the released evaluators read them (HumanML3D, Guo et al. 2022).

A text is a row of tagged words, ``a/DET person/NOUN walk/VERB``, the second field of HumanML3D's text files. The vectors
lie in three files: ``our_vab_data.npy`` [V, W], ``our_vab_words.pkl`` (a list) and ``our_vab_idx.pkl`` (word -> row).
Word classes, their order and their words are those of the release: the weights depend on them.
Shapes: V words, W word width, P word classes, B texts, L words of the longest text.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import KmmError
from .evaluator import Words

# The place of a class is its column in the one-hot vector.
CLASSES = (
    *("VERB", "NOUN", "DET", "ADP", "NUM", "AUX", "PRON", "ADJ", "ADV"),
    *("Loc_VIP", "Body_VIP", "Obj_VIP", "Act_VIP", "Desc_VIP"),
    "OTHER",
)
OTHER = CLASSES.index("OTHER")
MAX_WORDS = 20
START, END, UNKNOWN = "sos", "eos", "unk"

# Words that matter for motion have classes of their own, whatever their tag says.
_SPECIAL = {
    "Loc_VIP": "left right clockwise counterclockwise anticlockwise forward back backward up down straight curve",
    "Body_VIP": "arm chin foot feet face hand mouth leg waist eye knee shoulder thigh",
    "Obj_VIP": "stair dumbbell chair window floor car ball handrail baseball basketball",
    "Act_VIP": "walk run swing pick bring kick put squat throw hop dance jump turn stumble stop sit lift lower raise "
    "wash stand kneel stroll rub bend balance flap jog shuffle lean rotate spin spread climb",
    "Desc_VIP": "slowly carefully fast careful slow quickly happy angry sad happily angrily sadly",
}
_CLASS_OF = {word: CLASSES.index(name) for name, words in _SPECIAL.items() for word in words.split()}


class WordVectors:
    """A table of word vectors that turns tagged texts into ``Words``.

    Args:
        vectors: [V, W].
        rows: word -> its row; "sos", "eos" and "unk" among them.
    """

    def __init__(self, vectors: NDArray[np.float32], rows: Mapping[str, int]):
        self.vectors = torch.from_numpy(np.ascontiguousarray(vectors, dtype=np.float32))
        self.rows = dict(rows)

    @classmethod
    def load(cls, folder: Path, name: str = "our_vab") -> WordVectors:
        """Reads the three files of a release.

        Raises:
            KmmError: ``no_word_vectors`` or ``bad_word_vectors``. The pickles may hold lists, tables, text and
                numbers; anything else in them is refused and not run.
        """
        paths = [folder / f"{name}_{part}" for part in ("data.npy", "words.pkl", "idx.pkl")]
        for path in paths:
            if not path.is_file():
                raise KmmError(
                    "no_word_vectors",
                    f"{path} does not exist.",
                    "Unpack the evaluator's glove.zip, and name the folder that holds it.",
                )
        try:
            vectors = np.load(paths[0], allow_pickle=False)
            words, rows = (_read_plain(path) for path in paths[1:])
            table = {word: int(rows[word]) for word in words}
            missing = [word for word in (START, END, UNKNOWN) if word not in table]
            if vectors.ndim != 2 or missing:
                raise ValueError(
                    f"no {', '.join(missing)}" if missing else f"vectors of shape {vectors.shape}"
                )
            if not all(0 <= row < len(vectors) for row in table.values()):
                raise ValueError(f"rows outside of the {len(vectors)} vectors")
        except (OSError, ValueError, TypeError, KeyError, EOFError, pickle.UnpicklingError) as error:
            raise KmmError(
                "bad_word_vectors",
                f"The word vectors in {folder} cannot be read ({error}).",
                "Unpack glove.zip again.",
            ) from error
        return cls(vectors, table)

    def read(self, texts: Sequence[str]) -> Words:
        """Vectors and classes, with a start and an end; texts are cut to 20 words.

        Raises:
            KmmError: ``untagged_text`` for a word without a tag.
        """
        rows = [[self._word(word) for word in self._framed(text)] for text in texts]
        lengths = torch.tensor([len(row) for row in rows])
        # Where a text ends the encoder stops reading, so what stands behind has no effect.
        places = torch.zeros(len(rows), int(lengths.max()), 2, dtype=torch.long)
        for place, row in zip(places, rows, strict=True):
            place[: len(row)] = torch.tensor(row)
        classes = torch.nn.functional.one_hot(places[..., 1], len(CLASSES)).float()
        return Words(self.vectors[places[..., 0]], lengths, classes)

    def _framed(self, text: str) -> list[str]:
        return [f"{START}/OTHER", *text.split()[:MAX_WORDS], f"{END}/OTHER"]

    def _word(self, tagged: str) -> tuple[int, int]:
        """Row and class of ``word/TAG``."""
        word, slash, tag = tagged.rpartition("/")
        if not slash:
            raise KmmError(
                "untagged_text",
                f"The word '{tagged}' has no part of speech; expected '{tagged}/NOUN' or the like.",
                "Give the tagged words of HumanML3D's text files.",
            )
        if word not in self.rows:
            return self.rows[UNKNOWN], OTHER
        tagged_class = CLASSES.index(tag) if tag in CLASSES else OTHER
        return self.rows[word], _CLASS_OF.get(word, tagged_class)


class _PlainUnpickler(pickle.Unpickler):
    """Builds lists, tables, text and numbers; refuses everything that would call code."""

    def find_class(self, module: str, name: str):
        raise pickle.UnpicklingError(f"it names {module}.{name}, which word lists don't need")


def _read_plain(path: Path):
    with path.open("rb") as file:
        return _PlainUnpickler(file).load()
