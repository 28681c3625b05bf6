"""What is not loaded until it is needed: a child process tells, for here everything is loaded already."""

from __future__ import annotations

import subprocess
import sys

PREPARE = "import sys; from runner.imports import left_out, only_named, put_off\n"


def told(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", PREPARE + code], check=True, capture_output=True, text=True, timeout=60
    ).stdout.strip()


def test_a_package_that_is_put_off_is_loaded_when_something_of_it_is_asked_for() -> None:
    assert told(
        "with put_off('psycopg', 'errors'):\n"
        "    import psycopg\n"
        "    from psycopg import errors\n"
        "print(psycopg.__version__ > '3', 'psycopg' in sys.modules)\n"
        "print(errors.LockNotAvailable.__name__, issubclass(errors.LockNotAvailable, psycopg.OperationalError))\n"
        "import psycopg as real\n"
        "print(real is sys.modules['psycopg'], real.OperationalError is psycopg.OperationalError)"
    ).splitlines() == ["True False", "LockNotAvailable True", "True True"]


def test_a_package_that_is_loaded_already_is_not_put_off() -> None:
    assert told("import json\nwith put_off('json', 'decoder'):\n    import json as same\nprint(same is json)") == "True"


def test_a_module_that_is_left_out_counts_as_not_installed_in_there_only() -> None:
    assert told(
        "with left_out('this_module'):\n"
        "    try:\n"
        "        import this_module\n"
        "    except ImportError:\n"
        "        print('not there')\n"
        "with left_out('colorsys'):\n"
        "    pass\n"
        "import colorsys; print(colorsys.__name__)"
    ).splitlines() == ["not there", "colorsys"]


def test_a_module_of_which_only_names_are_needed_is_not_loaded_and_the_real_one_comes_later() -> None:
    assert told(
        "with only_named('colorsys', 'Colour'):\n"
        "    from colorsys import Colour\n"
        "def of(one: 'Colour | None', many: Colour[int]) -> None: ...\n"
        "print('colorsys' in sys.modules)\n"
        "import colorsys; print(hasattr(colorsys, 'Colour'), colorsys.rgb_to_hsv(0, 0, 0))"
    ).splitlines() == ["False", "False (0.0, 0.0, 0)"]


def test_the_runner_begins_without_what_it_does_not_use() -> None:
    told(
        "import runner.durable, runner.azure.connect\n"
        "from runner.azure import credentials\n"
        "unused = {'psycopg', 'rich', 'httpx._main', 'sqlalchemy.orm', 'sqlalchemy.ext.asyncio'}\n"
        "assert not unused & sys.modules.keys()"
    )
