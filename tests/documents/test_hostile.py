"""Documents made to break the reader: each ends in an error, soon, and after little work."""

from __future__ import annotations

from pathlib import Path
from time import process_time

import pytest
import yaml

from runner import documents
from runner.documents import DocumentErrors, syntax
from tests.documents.golden import HERE
from tests.documents.test_reading import HEAD, tenant

MIB = 1024 * 1024


def bomb() -> str:
    """A billion laughs: nine times nine times nine…"""
    lines = ["a: &a [x,x,x,x,x,x,x,x,x]"]
    lines += [f"{chr(98 + n)}: &{chr(98 + n)} [{','.join([f'*{chr(97 + n)}'] * 9)}]" for n in range(10)]
    return "\n".join(lines)


def mappers(count: int) -> str:
    one = "{key: azure, valuePattern: '${x}'},"
    return (
        "apiVersion: landing-zone-runner/v1\nkind: AzurePlatform\nmetadata: {name: t}\nspec:\n  entraTenant: a.example\n"
        f"  servicePrincipal: {{auth: {{type: azureCli}}}}\n  tenantTags: {{tagMappers: [{one * count}]}}\n"
    )


SPEC = tenant("t")
HOSTILE = {
    "bomb": bomb(),
    "bomb of mappings": bomb().replace("[x,x", "[{x: y},x"),
    "loop": "a: &a {b: *a}",
    "loop through lists": "&a [[[*a]]]",
    "deep lists": "[" * MIB,
    "deep mappings": "{a: " * (MIB // 4),
    "deep blocks": "- " * (MIB // 2),
    "deep complex keys": "? " * (MIB // 2),
    "many nodes": "a: [" + "[]," * (MIB // 3 - 5) + "]",
    "many documents": "---\n" * (MIB // 4),
    "many small documents": "---\na\n" * (MIB // 6),
    "many wrong documents": "--- {kind: Tenant, spec: {a: 1}}\n" * 9_999,
    "many documents of no kind": "--- {a: 1}\n" * 9_999,
    "many comments": "#  \t   \n" * (MIB // 8),
    "many wrong people": HEAD + "spec:\n  users:\n" + "  - {username: x, email: y, roles: 3}\n" * 7000,
    "many people twice": SPEC + "  users:\n" + "  - {username: x, roles: [a]}\n" * 9000,
    "many unknown fields": HEAD + "spec:\n" + "".join(f"  f{n}: x\n" for n in range(24_000)),
    "many duplicate keys": "a: 1\n" * 24_000,
    "many colliding tags": SPEC
    + "  projectTags:\n"
    + "".join(f"    a{'-' * (n % 200)}{n // 200}: x\n" for n in range(8_000)),
    "many anchors": "".join(f"a{n}: &a{n} x\n" for n in range(55_000)),
    "many tag mappers": mappers(1000),
    "far too many tag mappers": mappers(9_000),
    "long key": "a" * (MIB - 10) + ": x",
    "long kind": "kind: " + "a" * (MIB - 10),
    "long name": tenant("a" * (MIB - 500)),
    "long number": SPEC + "  meshProjectId: " + "9" * (MIB - 500),
    "long duration": "kind: LandingZone\nspec: {approval: {validFor: " + "9" * 10_000 + "d}}",
    "escapes": '"' + "a\\u0041" * (MIB // 8),
    "tabs": "a:\n\tb: c",
    "spaces": " " * (MIB - 10) + "x",
    "dashes": "-" * MIB,
    "stars": "*" * MIB,
    "colons": ":" * MIB,
    "question marks": "? a\n" * (MIB // 4),
    "python object": "!!python/object/apply:os.system ['true']",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_document_ends_in_an_error_within_two_seconds(tmp_path: Path, name: str) -> None:
    """Seconds of the processor: a busy machine is not what is tested."""
    (tmp_path / "x.yaml").write_text(HOSTILE[name])
    assert (tmp_path / "x.yaml").stat().st_size <= MIB
    started = process_time()
    with pytest.raises(DocumentErrors) as caught:
        documents.read([tmp_path])
    assert process_time() - started < 2
    assert caught.value.problems
    assert len(str(caught.value)) < 200_000
    assert all(len(problem.message) < 1000 for problem in caught.value.problems)


def test_checking_a_file_ends_after_a_thousand_problems_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(HOSTILE["many wrong documents"])
    with pytest.raises(DocumentErrors) as caught:
        documents.read([tmp_path])
    *listed, last = caught.value.problems
    assert documents.MOST_PROBLEMS <= len(listed) < documents.MOST_PROBLEMS + 10
    assert last.line == listed[-1].line + 1
    assert last.message.startswith(f"There may be more: the file has {len(listed)} problems up to here")


def test_nothing_is_said_to_be_missing_that_may_be_in_the_rest_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(tenant("one"))
    (tmp_path / "x.yaml").write_text("--- {a: 1}\n" * 2_000 + (HERE / "base.yaml").read_text())
    with pytest.raises(DocumentErrors) as caught:
        documents.read([tmp_path])
    assert {Path(problem.file).name for problem in caught.value.problems} == {"x.yaml"}


def test_the_bound_is_for_each_file_and_good_documents_do_not_count(tmp_path: Path) -> None:
    for file in ("a", "b"):
        good = "".join("---\n" + tenant(f"{file}{n}", project=f"{file}{n}") for n in range(600))
        wrong = "--- {apiVersion: landing-zone-runner/v1, kind: Nobody}\n" * 600
        (tmp_path / f"{file}.yaml").write_text(good + wrong)
    with pytest.raises(DocumentErrors) as caught:
        documents.read([tmp_path], around=[HERE / "base.yaml"])
    assert [problem.field for problem in caught.value.problems if problem.field == "kind"] == ["kind"] * 1200
    assert not any("There may be more" in problem.message for problem in caught.value.problems)


@pytest.mark.parametrize("name", ["bomb", "deep lists", "deep mappings", "deep blocks", "many nodes", "many anchors"])
def test_reading_stops_where_a_bound_is_passed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted in events, not seconds: what is behind the bound is never looked at."""
    events = 0
    real = yaml.parse

    def counted(text: str, Loader: object):  # type: ignore[no-untyped-def]  # noqa: N803
        nonlocal events
        for event in real(text, Loader=Loader):  # type: ignore[arg-type]
            events += 1
            yield event

    monkeypatch.setattr(yaml, "parse", counted)
    (raw,) = syntax.documents(HOSTILE[name])
    assert raw.data is None
    assert events <= 2 * syntax.MOST_NODES + syntax.DEEPEST


def test_modest_use_of_aliases_is_fine() -> None:
    (raw,) = syntax.documents("a: &a [x, y]\nb: *a\nc: [*a, *a]\n")
    assert raw.data == {"a": ["x", "y"], "b": ["x", "y"], "c": [["x", "y"], ["x", "y"]]}
    assert raw.flaws == ()


def test_a_tag_never_makes_an_object() -> None:
    (raw,) = syntax.documents("a: !!python/name:os.system\nb: !!binary aGk=\nc: !!str 7\n")
    assert raw.data == {"a": "", "b": "aGk=", "c": "7"}
    assert len(raw.flaws) == 2
