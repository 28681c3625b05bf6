"""Own words of a channel: a Jinja template that can neither reach beyond what it is given nor make markup of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from runner.domain.notice import Notice
from runner.errors import InputError

_LARGEST = 64 * 1024


def is_html(file: Path) -> bool:
    """Whether a template writes HTML, by its name."""
    return file.name.removesuffix(".j2").endswith((".html", ".htm"))


def rendered(file: Path, notice: Notice, *, harmless: Callable[[str], str]) -> str:
    """What the template says of the notice. Its variables are the notice's fields with `title`, `text` and `facts`; every text in them went
    through `harmless`, and where the template is HTML, through escaping too. InputError with file and line where it cannot be used."""
    environment = ImmutableSandboxedEnvironment(
        autoescape=is_html(file), undefined=StrictUndefined, keep_trailing_newline=False
    )
    try:
        source = file.read_text(encoding="utf-8")
        said = environment.from_string(source).render(_harmless(variables(notice), harmless))
    except (OSError, UnicodeDecodeError) as error:
        raise _unusable(file, getattr(error, "strerror", None) or "It is no UTF-8 text.") from None
    except TemplateSyntaxError as error:
        raise _unusable(file, f"Line {error.lineno}: {error.message}.") from None
    except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise _unusable(file, f"{type(error).__name__}: {error}.") from None
    if len(said) > _LARGEST:
        raise _unusable(file, f"It says more than {_LARGEST} characters.")
    return said


def variables(notice: Notice) -> dict[str, Any]:
    """What templates may use."""
    return {
        **notice.model_dump(mode="json"),
        "title": notice.title,
        "text": notice.text,
        "facts": [list(fact) for fact in notice.facts],
    }


def _harmless(value: Any, harmless: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return harmless(value)
    if isinstance(value, list):
        return [_harmless(one, harmless) for one in value]
    if isinstance(value, dict):
        return {key: _harmless(one, harmless) for key, one in value.items()}
    return value


def _unusable(file: Path, detail: str) -> InputError:
    return InputError(
        "A channel's template cannot be used",
        code="channel-template-wrong",
        detail=f"{file}: {detail}",
        hint="The README lists its variables; lzr notify test CHANNEL shows what it says.",
    )
