"""The vocabulary of the learned sparse model: lemmas of the training captions.

`words_of` splits captions and queries into words. A query may have weights: `dog^2 -cat`.
"""

from __future__ import annotations

import json
import logging
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import simplemma
from scipy.sparse import csr_matrix  # type: ignore[import-untyped]

from crossmodal.core.errors import InputError, StateError
from crossmodal.core.files import write_atomically

log = logging.getLogger(__name__)

Weighting = Literal["binary", "tf-idf"]

_STOP_WORDS = """
    i me my myself we our ours ourselves you your yours yourself yourselves he him his himself she her hers herself
    it its itself they them their theirs themselves what which who whom this that these those am is are was were be
    been being have has had having do does did doing would should could ought i'm you're he's she's it's we're
    they're i've you've we've they've i'd you'd he'd she'd we'd they'd i'll you'll he'll she'll we'll they'll isn't
    aren't wasn't weren't hasn't haven't hadn't doesn't don't didn't won't wouldn't shan't shouldn't can't cannot
    couldn't mustn't let's that's who's what's here's there's when's where's why's how's a an the and but if or
    because as until while of at by for with about against between into through during before after above below to
    from up down in out on off over under again further then once here there when where why how all any both each
    few more most other some such no nor not only own same so than too very
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())
"""English stop words. Source: Snowball's list, M. Porter and R. Boulton, BSD-3-Clause."""

# Corrections of simplemma for words in captions.
_LEMMAS = {
    "bacteria": "bacterium", "baking": "bake", "bare": "bare", "bigger": "big", "binoculars": "binoculars",
    "crafted": "craft", "crosses": "cross", "cutting": "cut", "dice": "dice", "drenched": "drench", "fishing": "fish",
    "fixed": "fix", "fixes": "fix", "fixing": "fix", "gone": "go", "growing": "grow", "guarded": "guard",
    "hotter": "hot", "labelled": "label", "leggings": "leggings", "masses": "mass", "mixed": "mix", "mixes": "mix",
    "mixing": "mix", "modelling": "model", "mules": "mule", "opera": "opera", "overalls": "overalls",
    "playing": "play", "poles": "pole", "railing": "railing", "reed": "reed", "shook": "shake", "singing": "sing",
    "sitting": "sit", "skies": "sky", "smoking": "smoke", "spade": "spade", "span": "span", "stocking": "stocking",
    "stranger": "stranger", "striped": "stripe", "swinging": "swing", "thinking": "think", "tights": "tights",
    "topping": "topping", "trading": "trade", "travelling": "travel", "weed": "weed", "wives": "wife", "won": "win",
}  # fmt: skip

_WORD = re.compile(r"\w+(?:'\w+)?")
_QUERY_PART = re.compile(r"(?P<avoid>-?)(?P<words>[^^]*)(?P<weight>\^.*)?", re.DOTALL)
_NUMBER = re.compile(r"\d{1,3}(\.\d{1,6})?")


def words_of(text: str) -> list[str]:
    """The words of a text in order, as lower-case lemmas; stop words, single letters and words with digits are dropped.

    Idempotent: applied to one of its words, it returns that word.

    >>> words_of("Two dogs' tails, and the man's T-shirt isn't 3d!")
    ['two', 'dog', 'tail', 'man', 'shirt']
    """
    plain = unicodedata.normalize("NFKC", text).lower().replace("’", "'")
    words = (word.partition("'")[0] for word in _WORD.findall(plain) if word not in STOP_WORDS)
    lemmas = (_lemma(word) for word in words if len(word) > 1 and word.isalpha() and word not in STOP_WORDS)
    return [word for word in lemmas if word not in STOP_WORDS]


@lru_cache(maxsize=1 << 16)
def _lemma(word: str) -> str:
    """The lemma of a word, applied until it no longer changes: "paintings", "painting", "paint"."""
    seen: list[str] = []
    while word not in seen:
        seen.append(word)
        word = _LEMMAS.get(word) or simplemma.lemmatize(word, lang="en").lower()
        if not word.isalpha() or len(word) < 2:
            return seen[-1]
    return min(seen[seen.index(word) :])  # a cycle of lemmas: the first alphabetically stands for all


def parse_query(text: str) -> list[tuple[str, float]]:
    """The words of a query with their weights, by default 1; the last weight of a repeated word applies.

    Spaces separate the parts of a query. `^NUMBER` after a part sets its weight, from 0 to below 1000; a minus before
    it makes the weight negative, for words to avoid. A weight of 0 removes a word.

    >>> parse_query("dogs^2 on a beach -cat")
    [('dog', 2.0), ('beach', 1.0), ('cat', -1.0)]

    Raises:
        InputError: A `^` is not followed by such a number.
    """
    weights: dict[str, float] = {}
    for part in text.split():
        match = _QUERY_PART.fullmatch(part)
        assert match is not None
        words, weight = words_of(match["words"]), 1.0
        if words and match["weight"]:
            if not _NUMBER.fullmatch(match["weight"][1:]):
                raise InputError(f"in the query, {part!r}: a number from 0 to below 1000 should follow the ^")
            weight = float(match["weight"][1:])
        weights.update(dict.fromkeys(words, -weight if match["avoid"] else weight))
    return [(word, weight) for word, weight in weights.items() if weight]


class TermVocabulary:
    """The words of the training captions in alphabetical order, with their counts and the weighting of texts."""

    def __init__(self, counts: dict[str, int], n_texts: int, weighting: Weighting = "binary") -> None:
        """Stores the number of texts with each word, of `n_texts` texts; `fit` counts them."""
        self.words = tuple(sorted(counts))
        self.counts = tuple(counts[word] for word in self.words)
        self.n_texts, self.weighting = n_texts, weighting
        self._ids = {word: i for i, word in enumerate(self.words)}
        self._idf = np.array([math.log((1 + n_texts) / (1 + count)) + 1 for count in self.counts])

    @classmethod
    def fit(
        cls, captions: Iterable[str], min_df: int = 1, max_df: float = 1.0, weighting: Weighting = "binary"
    ) -> TermVocabulary:
        """The vocabulary of words that occur in at least `min_df` captions and at most the share `max_df` of them.

        Args:
            captions: The captions of the training split only. With the joined captions of each image, images are
                counted instead of captions.
            min_df: Minimum number of captions.
            max_df: Maximum share of the captions, 0 to 1.
            weighting: `binary` or `tf-idf`; see `encode`.

        Raises:
            InputError: No word is in this range.
        """
        counts: Counter[str] = Counter()
        n_texts = 0
        for caption in captions:
            counts.update(set(words_of(caption)))
            n_texts += 1
        kept = {word: count for word, count in counts.items() if min_df <= count <= max_df * n_texts}
        if not kept:
            raise InputError(
                f"no word is left for the vocabulary: {n_texts} captions have {len(counts)} words, none of them in "
                f"{min_df} captions or more and in at most {max_df:.0%}; lower min_df or raise max_df"
            )
        return cls(kept, n_texts, weighting)

    def __len__(self) -> int:
        return len(self.words)

    def encode(self, texts: Sequence[str]) -> csr_matrix:
        """The weights (n, V) float32 of n texts; unknown words are ignored.

        `binary` is 1 for each word in the text. `tf-idf` is its count * (ln((1 + captions) / (1 + captions with the
        word)) + 1), with rows normalised to length 1, as in scikit-learn's `TfidfVectorizer`.
        """
        binary = self.weighting == "binary"
        counts = [Counter(word for word in words_of(text) if word in self._ids) for text in texts]
        return self._matrix([{word: 1.0 if binary else float(n) for word, n in row.items()} for row in counts])

    def encode_query(self, text: str) -> csr_matrix:
        """The weights (1, V) float32 of a query in the syntax of `parse_query`; words to avoid have negative weights.

        Equals `encode` for a query of distinct words without weights.

        Raises:
            InputError: A weight is not a number.
        """
        return self._matrix([{word: weight for word, weight in parse_query(text) if word in self._ids}])

    def unknown(self, text: str) -> list[str]:
        """The distinct words of a query that are not in the vocabulary, in order."""
        return [word for word, _ in parse_query(text) if word not in self._ids]

    def save(self, path: Path) -> None:
        """Writes the vocabulary as JSON, atomically."""
        content = {
            "weighting": self.weighting,
            "n_texts": self.n_texts,
            "lemmas": lemmas_version(),
            "words": dict(zip(self.words, self.counts, strict=True)),
        }
        write_atomically(path, json.dumps(content, indent=0, ensure_ascii=False).encode())

    @classmethod
    def load(cls, path: Path) -> TermVocabulary:
        """The vocabulary in a file that `save` wrote.

        Raises:
            StateError: The file can't be read, is damaged, or has no words.
        """
        try:
            return cls._of(json.loads(path.read_text("utf8")))
        except OSError as error:
            raise StateError(f"the vocabulary {path} can't be read: {error.strerror}; train the model again") from error
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise StateError(f"the vocabulary {path} is damaged: {error}; train the model again") from error

    @classmethod
    def _of(cls, content: dict[str, Any]) -> TermVocabulary:
        words, n_texts, weighting = content["words"], content["n_texts"], content["weighting"]
        if weighting not in get_args(Weighting):
            raise ValueError(f"it has the weighting {weighting!r}")
        if type(n_texts) is not int or not isinstance(words, dict) or not words:
            raise ValueError("it has no words")
        for word, count in words.items():
            if not word.isalpha() or type(count) is not int or not 0 < count <= n_texts:
                raise ValueError(f"its word {word!r} has the count {count!r}, of {n_texts} texts")
        lost = [word for word in words if words_of(word) != [word]]
        if lost:
            versions = f"made with {content['lemmas']}, here {lemmas_version()}"
            log.warning("%d words can't be searched, for example %r: %s", len(lost), lost[0], versions)
        return cls(words, n_texts, weighting)

    def _matrix(self, rows: list[dict[str, float]]) -> csr_matrix:
        ends = np.cumsum([0, *(len(row) for row in rows)])
        terms = np.array([self._ids[word] for row in rows for word in row], np.int32)
        weights = np.array([weight for row in rows for weight in row.values()], np.float64)
        if self.weighting == "tf-idf":
            weights *= self._idf[terms]
            for start, end in pairwise(ends):
                weights[start:end] /= np.linalg.norm(weights[start:end]) or 1.0
        matrix = csr_matrix((weights.astype(np.float32), terms, ends), shape=(len(rows), len(self)))
        matrix.sort_indices()
        return matrix


def lemmas_version() -> str:
    """A version that changes if the results of `words_of` may change."""
    return f"simplemma {simplemma.__version__}"
