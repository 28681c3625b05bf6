"""What libraries load although this program does not use it, and what the C library keeps apart: together 35 MB of a runner's memory and
0.2 s of its start (measured)."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from importlib.metadata import version
from types import ModuleType
from typing import Any

_M_ARENA_MAX = -8  # malloc.h


def share_one_heap() -> None:
    """Let glibc keep one heap for all threads: the default of eight per core costs 5 MB here and brings nothing (measured)."""
    if sys.platform == "linux":
        with suppress(AttributeError, OSError):  # another C library
            ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


@contextmanager
def left_out(name: str) -> Iterator[None]:
    """Imports in here find no module of this name, as if it were not installed; one that is loaded already stays."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]  # documented: importing it raises ModuleNotFoundError
    try:
        yield
    finally:
        del sys.modules[name]


@contextmanager
def put_off(package: str, *modules: str) -> Iterator[None]:
    """Imports in here of the package and these modules of it load nothing: that happens when something of them is asked for."""
    if package in sys.modules:
        yield
        return
    later = {name: _Later(name) for name in (package, *(f"{package}.{module}" for module in modules))}
    setattr(later[package], "__version__", version(package))  # noqa: B010 - some look whether it is the right one
    for module in modules:
        setattr(later[package], module, later[f"{package}.{module}"])
    sys.modules.update(later)
    try:
        yield
    finally:
        for name in later:
            sys.modules.pop(name, None)


@contextmanager
def only_named(module: str, *classes: str) -> Iterator[None]:
    """Imports in here get classes of these names that are nothing, for who names them in annotations alone; one that is loaded already
    stays."""
    if module in sys.modules:
        yield
        return
    stand_in = ModuleType(module)
    for name in classes:
        setattr(stand_in, name, type(name, (), {"__module__": module, "__class_getitem__": lambda cls, _: cls}))
    sys.modules[module] = stand_in
    try:
        yield
    finally:
        del sys.modules[module]


class _Later(ModuleType):
    """Stands for a module that nobody else sees: whoever imports it from now on gets the real one."""

    def __getattr__(self, name: str) -> Any:
        if sys.modules.get(self.__name__) is self:
            raise AttributeError(f"{self.__name__}.{name} is asked for while its loading is put off")
        return getattr(import_module(self.__name__), name)
