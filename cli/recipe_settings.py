"""Applies `--set NAME=VALUE` options to a recipe."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from crossmodal.core.errors import InputError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

S = TypeVar("S", bound="DataclassInstance")
POSITIVE = frozenset({
    "batch_size", "captions_a_batch", "checkpoint_every", "decay_every", "epochs", "head_batch", "image_size",
    "joint_dim", "measure_every", "n_scenes", "n_views", "steps", "temperature", "width", "word_dim",
})  # fmt: skip
"""Settings that can't be 0."""


def with_settings(recipe: S, assignments: Sequence[str]) -> S:
    """The recipe with `NAME=VALUE` applied, each value converted to the type of its setting.

    Raises:
        InputError: An unknown name, for which the message lists the known ones, or a value of another type or range.
    """
    known = {field.name: getattr(recipe, field.name) for field in fields(recipe)}
    hints = get_type_hints(type(recipe))
    changes: dict[str, Any] = {}
    for item in assignments:
        name, equals, value = item.partition("=")
        if not equals or name not in known:
            raise InputError(f"--set {item!r}: give NAME=VALUE with a name of {', '.join(known)}")
        kind = float if known[name] is None else type(known[name])
        try:
            changes[name] = kind(value)
        except ValueError as error:
            raise InputError(f"--set {item!r}: expected a value like {known[name]!r}") from error
        if isinstance(number := changes[name], (int, float)) and not (math.isfinite(number) and number >= 0):
            raise InputError(f"--set {item!r}: expected 0 or more")
        if name in POSITIVE and not changes[name]:
            raise InputError(f"--set {item!r}: expected more than 0")
        if get_origin(hints[name]) is Literal and value not in get_args(hints[name]):
            raise InputError(f"--set {item!r}: choose one of {', '.join(get_args(hints[name]))}")
    return replace(recipe, **changes)
