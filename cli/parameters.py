"""Options as frozen dataclasses: each field declares the click parameter that fills it.

The `crossmodal` command and `app.py` build their parameters from the same classes. A field can declare a difference: a
data set is an argument of `crossmodal index` and the option `-d` of `app.py -t index`. `app.py` also accepts every
long option with underscores.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from inspect import get_annotations
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from crossmodal.core.settings import OtherService, Settings

KEY = "parameter"
FILE = click.Path(path_type=Path, dir_okay=False)
FOLDER = click.Path(path_type=Path)


@dataclass(frozen=True)
class Parameter:
    """How the command line fills a field.

    `flags` are the option's names, `argument` is the name of an argument. A field with both is an argument of
    `crossmodal` and an option of `app.py`. `app_default` is the default of `app.py` if it differs. `only_app` hides the
    option from `crossmodal`. `sparse_envvar` is the environment variable that sets the option with `-m sparse`.
    """

    flags: tuple[str, ...]
    argument: str
    settings: Mapping[str, Any]
    app_default: Any
    only_app: bool
    sparse_envvar: str


def option(
    *flags: str,
    default: Any = None,
    argument: str = "",
    app_default: Any = None,
    only_app: bool = False,
    sparse_envvar: str = "",
    **settings: Any,
) -> Any:
    """A dataclass field set by an option, or by an argument if `argument` is its name; see `Parameter`."""
    parameter = Parameter(flags, argument, settings, app_default, only_app, sparse_envvar)
    field_default = () if settings.get("multiple") else None if callable(default) else default
    return field(default=field_default, metadata={KEY: parameter, "default": default})


def flag(*flags: str, **settings: Any) -> Any:
    """A dataclass field that is True if the option is given."""
    return option(*flags, default=False, is_flag=True, **settings)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Base of the options of a command."""

    def settings(self) -> Settings:
        """The settings of the run; an option that was not given leaves the default of `Settings`."""
        known = {setting.name for setting in fields(Settings)}
        given = {name: value for name, value in vars(self).items() if name in known and value is not None}
        return Settings(**{"model_named": "model" in given, **given})


def declared(options: type[Options]) -> Iterator[tuple[str, Parameter, Any]]:
    """(field, parameter, default) of each field, those of the class itself before those of its bases."""
    by_name = {declaration.name: declaration for declaration in fields(options)}
    for cls in options.__mro__:
        for name in get_annotations(cls):
            if (declaration := by_name.pop(name, None)) is not None:
                yield name, declaration.metadata[KEY], declaration.metadata["default"]


def click_parameters(options: type[Options], *, app: bool = False) -> list[click.Parameter]:
    """The click parameters of the `crossmodal` command, or with `app` those of the `app.py` task."""
    return [
        _click_parameter(name, parameter, default, app)
        for name, parameter, default in declared(options)
        if app or not parameter.only_app
    ]


def _click_parameter(name: str, parameter: Parameter, default: Any, app: bool) -> click.Parameter:
    settings = dict(parameter.settings)
    if app and parameter.app_default is not None:
        default = parameter.app_default
        settings.pop("show_default", None)
    if default is not None:
        settings["default"] = default
    if parameter.argument and not (app and parameter.flags):
        for key in ("help", "metavar"):  # not accepted by arguments
            settings.pop(key, None)
        required = settings.pop("required", False) and not app
        metavar = parameter.argument if required else f"[{parameter.argument}]"
        return click.Argument([name], metavar=metavar, required=required, **settings)
    settings.pop("required", None)
    flags = list(parameter.flags)
    if app:
        flags += [f"--{flag[2:].replace('-', '_')}" for flag in flags if "-" in flag[2:]]
    if settings.get("multiple"):
        kind: type[click.Option] = settings.pop("cls", click.Option)
        return kind([*flags, name], **settings)
    shown = default not in (None, False, 0, 0.0, "") and "show_default" not in settings
    return click.Option([*flags, name], **{"show_default": shown, **settings})


def values_of(context: click.Context, options: type[Options]) -> dict[str, Any]:
    """The values of the fields; with `-m sparse`, missing ones are read from their `sparse_envvar`."""
    values = dict(context.params)
    if values.get("model") != "sparse":
        return values
    for name, parameter, _ in declared(options):
        if values.get(name) is None and (value := os.environ.get(parameter.sparse_envvar)):
            values[name] = value
    index_path = os.environ.get("INDEX_FILE_PATH")
    is_default = context.get_parameter_source("workspace") is ParameterSource.DEFAULT
    if index_path and "collection" in values and values["collection"] is None and is_default:
        values |= {"workspace": Path(index_path).parent, "collection": Path(index_path).name}
    return values


class SeveralValues(click.Option):
    """An option that takes all values up to the next option, and may be repeated: `--metrics cosine euclidean`."""

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        """Adds the option, whose further values are taken from the remaining arguments."""
        super().add_to_parser(parser, ctx)
        for flag in self.opts:
            declared_option = parser._long_opt[flag]  # click has no public way to take any number of values
            take_one = declared_option.process

            def take_all(value: Any, state: Any, take_one: Any = take_one) -> None:
                take_one(value, state)
                while state.rargs and not state.rargs[0].startswith("-"):
                    take_one(state.rargs.pop(0), state)

            declared_option.process = take_all


class OtherServiceType(click.ParamType[OtherService]):
    """NAME=URL."""

    name = "name=url"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> OtherService:
        """The name and the URL, which must be http or https because browsers open it."""
        name, _, url = str(value).partition("=")
        if not name or not url.startswith(("http://", "https://")) or "," in value:
            self.fail(f"{value!r}: give NAME=URL without a comma, as in photos=http://localhost:45680", param, ctx)
        return OtherService(name, url)


class NetworkType(click.ParamType[str]):
    """The address of a machine or a network."""

    name = "address"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The address."""
        from ipaddress import ip_network

        try:
            ip_network(value)
        except ValueError as error:
            self.fail(f"{error}: give an address or a network, as in 10.0.0.1 or 10.0.0.0/8", param, ctx)
        return str(value)


class Distance(click.ParamType[float]):
    """A distance in kilometres, or with a unit: 20km, 500m."""

    name = "distance"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Kilometres."""
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(km|m|)\s*", str(value), re.ASCII)
        if match is None:
            self.fail(f"{value!r} is not a distance; give 20km or 500m", param, ctx)
        return float(match[1]) / (1_000 if match[2] == "m" else 1)


class SliceType(click.ParamType[Any]):
    """I/N."""

    name = "slice"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The slice."""
        from crossmodal.core.errors import InputError
        from crossmodal.core.slices import Slice  # imports numpy

        try:
            return value if isinstance(value, Slice) else Slice.parse(str(value))
        except InputError as error:
            self.fail(str(error), param, ctx)


class UrlsType(click.ParamType[tuple[str, ...]]):
    """URL,URL,..."""

    name = "urls"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """The URLs, each of which is http or https and given once."""
        if isinstance(value, tuple):
            return value
        urls = tuple(url.strip().rstrip("/") for url in str(value).split(","))
        wrong = [url for url in urls if not url.startswith(("http://", "https://")) or urls.count(url) > 1]
        if wrong:
            self.fail(
                f"{wrong[0]!r}: give different URLs with commas between them, as in http://a:45678,http://b:45678"
            )
        return urls


class ColumnNames(click.ParamType[tuple[tuple[str, str], ...]]):
    """image=NAME,caption=NAME."""

    name = "columns"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """(kind, name of the column) pairs."""
        if not isinstance(value, str):
            return value
        return tuple(
            (kind.strip(), name) for kind, _, name in (part.partition("=") for part in value.split(",") if part)
        )
