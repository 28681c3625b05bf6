"""What a provider, a resource and a data source are to the protocol: the vocabulary the two stand-ins are written in.

A *session* is what a configured provider holds (credentials, connections); each provider has its own kind. Objects here are plain
dicts in the shape of the type's schema. Knows nothing of gRPC, protobuf or HTTP.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Event
from typing import Any, Generic, Protocol, TypeVar

from runner.sandbox.provider.schema import ProviderSchema

Object = dict[str, Any]
Path = tuple[str | int, ...]
Private = Mapping[str, Any]
"""What a provider keeps beside a state: JSON that the engine stores and never shows."""

S = TypeVar("S")
S_contra = TypeVar("S_contra", contravariant=True)


@dataclass(frozen=True)
class Problem:
    """One diagnostic: what was wrong, and where in the configuration."""

    summary: str
    detail: str = ""
    path: Path = ()
    warning: bool = False


class Failed(Exception):
    """An operation ended with a problem for the user. With `state`, what exists all the same is kept (a new object as tainted)."""

    def __init__(self, summary: str, detail: str = "", path: Path = (), *, state: Object | None = None) -> None:
        super().__init__(summary)
        self.problem = Problem(summary, detail, path)
        self.state = state


@dataclass(frozen=True)
class Change:
    """What the engine asks for. `prior` is None for a create; `planned` is the proposed object when planning, the plan when applying."""

    prior: Object | None
    planned: Object
    config: Object
    private: Private = field(default_factory=dict)


@dataclass(frozen=True)
class Planned:
    """The object that will be, and the attributes whose change needs a new one."""

    state: Object
    replace: Sequence[Path] = ()


@dataclass(frozen=True)
class Stored:
    """What is true after an operation. A `state` of None says that the object is gone."""

    state: Object | None
    private: Private = field(default_factory=dict)


class Resource(Protocol[S_contra]):
    """One managed resource type."""

    def validate(self, config: Object) -> list[Problem]: ...

    def plan(self, session: S_contra, change: Change) -> Planned: ...

    def create(self, session: S_contra, change: Change) -> Stored: ...

    def read(self, session: S_contra, state: Object, private: Private) -> Stored: ...

    def update(self, session: S_contra, change: Change) -> Stored: ...

    def delete(self, session: S_contra, state: Object) -> None: ...

    def import_(self, session: S_contra, id_: str, empty: Object) -> Stored: ...


class DataSource(Protocol[S_contra]):
    """One data source type."""

    def validate(self, config: Object) -> list[Problem]: ...

    def read(self, session: S_contra, config: Object) -> Object: ...


@dataclass(frozen=True)
class Provider(Generic[S]):
    """A provider: `connect` makes the session from the provider block; `stop` is set when the engine asks to stop."""

    name: str
    schema: Callable[[], ProviderSchema]
    connect: Callable[[Object, Event], S]
    resources: Mapping[str, Resource[S]]
    data_sources: Mapping[str, DataSource[S]]
    is_legacy: bool = False
    """Written for the older plugin SDK, whose plans may hold a default where the configuration holds nothing."""
