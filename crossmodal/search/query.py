"""Search queries and their options, validated before anything is encoded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, get_args

from crossmodal.core.errors import InputError
from crossmodal.core.settings import MAX_MATCHES
from crossmodal.search.combining import without_avoided
from crossmodal.search.examples import Example, check_number, ids_of
from crossmodal.search.fusion import fusion_of_parts
from crossmodal.store.condition import Condition
from crossmodal.store.where import parse

if TYPE_CHECKING:
    from crossmodal.store.protocol import Store

Target = Literal["image", "text", "both"]
Order = Literal["relevance", "newest", "oldest"]
QueryModality = Literal["image", "text", "vector"]
DEFAULT_TOP_K = 10
MAX_AVOIDED = 20
N_CANDIDATES = 1_000
"""The best matches of a query, of each modality, among which those that fit are ordered by time."""


@dataclass(frozen=True)
class Page:
    """The part of the ranked matches that a search returns, of each modality.

    Attributes:
        size: Maximum number of matches on the page.
        offset: Number of better matches before the page.
        min_score: Matches with a lower score are removed before the page is cut.
        min_relevance: Matches with a lower relevance are removed before the page is cut.
        order: `newest` and `oldest` order the matches that fit by the time at which they were taken.
        without: The ids of documents that are not returned, nor the captions of such a picture.
    """

    size: int
    offset: int = 0
    min_score: float | None = None
    min_relevance: float | None = None
    order: Order = "relevance"
    without: tuple[str, ...] = ()

    @property
    def n_candidates(self) -> int:
        """The `top_k` of a search for the page: in the order of relevance, up to the first match after the page."""
        return self.offset + self.size + 1 if self.order == "relevance" else N_CANDIDATES

    @classmethod
    def from_dict(cls, values: Any) -> Page:
        """The page of a dictionary with the attributes, whose numbers may be floats from a protobuf struct.

        Raises:
            InputError: `values` is not such a dictionary.
        """
        try:
            page = cls(**values)
            page = replace(page, size=int(page.size), offset=int(page.offset), without=tuple(map(str, page.without)))
        except (TypeError, ValueError, OverflowError) as error:
            raise InputError("page: expected size, offset, min_score, min_relevance, order and without") from error
        if page.order not in get_args(Order):
            raise InputError(f"page: order {str(page.order)[:40]!r}: expected relevance, newest or oldest")
        return page


@dataclass(frozen=True)
class SearchOptions:
    """The options of a search, the same for all queries of a request.

    Attributes:
        top_k: Number of ranked matches of each modality, 1 to `MAX_MATCHES`.
        target: The modality to search, or `both`; None for the default of the query's modality.
        where: A condition on the matches, empty for none.
        fusion: The fusion of words and vectors in a sparse collection, empty for the collection's default.
        page: If given, only this part of the matches is returned, each with its picture and captions.
    """

    top_k: int = DEFAULT_TOP_K
    target: Target | None = None
    where: str = ""
    fusion: str = ""
    page: Page | None = None

    @cached_property
    def condition(self) -> Condition | None:
        """The parsed `where`, None without one.

        Raises:
            InputError: `where` is not a condition.
        """
        return parse(self.where) if self.where else None

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> SearchOptions:
        """The options from the parameters of a request, which any client may have sent.

        Raises:
            InputError: `top_k` is not a number from 1 to `MAX_MATCHES`, or `target` or `page` is malformed.
        """
        top_k, page = parameters.get("top_k", DEFAULT_TOP_K), parameters.get("page")
        if not (isinstance(top_k, (int, float)) and 1 <= top_k <= MAX_MATCHES):
            raise InputError(f"top_k {str(top_k)[:40]!r}: expected a number from 1 to {MAX_MATCHES}")
        name, where, fusion = (str(parameters.get(key) or "") for key in ("target", "where", "fusion"))
        target = next((known for known in get_args(Target) if known == name), None)
        if name and target is None:
            raise InputError(f"target {name[:40]!r}: expected image, text or both")
        return cls(int(top_k), target, where, fusion, None if page is None else Page.from_dict(page))

    def to_parameters(self) -> dict[str, Any]:
        """The parameters that `from_parameters` reads."""
        parameters: dict[str, Any] = {"top_k": self.top_k, "target": self.target or "", "where": self.where}
        if self.fusion:
            parameters["fusion"] = self.fusion
        if self.page is not None:
            parameters["page"] = asdict(self.page)
        return parameters


@dataclass(frozen=True)
class Query:
    """A query: words, a picture, a document of the collection, or several of these combined.

    Attributes:
        text: The wanted words, empty for none.
        avoided: Words or phrases to avoid, encoded one by one.
        picture: An encoded picture.
        like: The id of a document of the collection.
        mix: The weight of the pictures relative to the words, 0 to 1.
        options: The options of the search.
        likes: Examples of what to find; they stay in the results.
        unlikes: Examples of what not to find; they and their captions are not in the results.
    """

    text: str = ""
    avoided: tuple[str, ...] = ()
    picture: bytes | None = None
    like: str = ""
    mix: float = 0.5
    options: SearchOptions = field(default_factory=SearchOptions)
    likes: tuple[Example, ...] = ()
    unlikes: tuple[Example, ...] = ()

    @property
    def has_examples(self) -> bool:
        """Whether its parts are combined by `search.examples.refined`."""
        return bool(self.likes or self.unlikes)

    def without_unliked(self, store: Store) -> SearchOptions:
        """The options, with a page from which the unliked documents and their captions are left out.

        So many more matches are asked for that the page is full without them.
        """
        if not self.unlikes:
            return self.options
        hidden = ids_of(self.unlikes)
        captions = {} if self.options.target == "image" else store.caption_texts_of(hidden)
        n_hidden = len(hidden) + sum(map(len, captions.values()))
        page = replace(self.options.page or Page(self.options.top_k), without=hidden)
        return replace(self.options, top_k=min(MAX_MATCHES, self.options.top_k + n_hidden), page=page)

    @property
    def modality(self) -> QueryModality:
        """`text` for only words that search pictures, `image` for only a picture, else `vector`.

        The first two are encoded and searched in one pass. The parts of any other query are encoded first, and their
        combined vector is searched.
        """
        if self.has_examples or self.like or self.avoided or bool(self.text) == (self.picture is not None):
            return "vector"
        if self.text:
            return "text" if self.options.target in (None, "image") else "vector"
        return "image"

    @property
    def text_with_avoided(self) -> str:
        """The words of the query in the syntax of a lexical search: `dog -red -night`; empty without wanted words."""
        avoided = (f"-{word}" for phrase in self.avoided for word in phrase.split())
        return " ".join([self.text, *avoided]) if self.text else ""


def read_query(
    text: str,
    exclude: Sequence[str],
    picture: bytes | None,
    like: str,
    mix: float,
    options: SearchOptions,
    *,
    has_captions: bool,
    likes: Sequence[Example] = (),
    unlikes: Sequence[Example] = (),
) -> Query:
    """The query of a request, with the words to avoid removed from `text` and the default target set.

    Args:
        text: Words; `-dog` and `-"at night"` are avoided.
        exclude: More words or phrases to avoid.
        picture: An encoded picture.
        like: The id of a document.
        mix: See `Query`.
        options: See `Query`; without a `target`, a picture alone searches both modalities, others search pictures.
        has_captions: Whether the collection's model encodes captions.
        likes: Examples of what to find.
        unlikes: Examples of what not to find.

    Raises:
        InputError: The query is empty, there are more than `MAX_AVOIDED` words to avoid or too many examples, or the
            condition or the fusion is invalid.
    """
    wanted, in_text = without_avoided(text)
    avoided = tuple(dict.fromkeys([*in_text, *(word.strip() for word in exclude if word.strip())]))
    if len(avoided) > MAX_AVOIDED:
        raise InputError(f"exclude: {len(avoided)} words to avoid, at most {MAX_AVOIDED} are allowed")
    check_number(likes, unlikes)
    if not wanted and picture is None and not like and not likes:
        what = "examples" if unlikes else "words"
        reason = f"the query has only {what} to avoid" if avoided or unlikes else "the query is empty"
        raise InputError(f"{reason}: give `text`, `image` or `like`")
    is_picture_alone = not wanted and not avoided
    default: Target = "both" if is_picture_alone and has_captions else "image"
    options = replace(options, target=options.target or default)
    _check(options)
    return Query(wanted, avoided, picture, like, mix, options, tuple(likes), tuple(unlikes))


def _check(options: SearchOptions) -> None:
    try:
        options.condition  # noqa: B018 -- parsed here so that an error is reported before anything is encoded
    except InputError as error:
        raise InputError(f"where: {error}") from error
    if options.fusion:
        fusion_of_parts(options.fusion)
