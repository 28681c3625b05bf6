"""Azure tags: variables, precedence, the prefix, and Azure's limits."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.domain import tagging
from runner.domain.tagging import Tagging, tags_of
from tests.domain.documents import placed


def tagged(*mappers: tuple[str, str], prefix: str = "", **tenant: Any) -> Tagging:
    """The tags of a tenant under these mappers of key and pattern."""
    spec = {
        "namespacePrefix": prefix,
        "tagMappers": [{"key": key, "valuePattern": pattern} for key, pattern in mappers],
    }
    where = placed(platform={"tenantTags": spec}, tenant=tenant)
    return tags_of(where.platform, where.zone, where.tenant)


def value(pattern: str, **tenant: Any) -> str:
    """What a pattern becomes."""
    return tagged(("key", pattern), **tenant).tags["key"]


JANE = {"username": "jane", "firstName": "Jane", "lastName": "Doe", "email": "jane@corp.example"}
JOE = {"username": "joe", "firstName": "Joe", "lastName": "Roe"}
PAYMENT = {"identifier": "pm-1", "name": "Digital", "expirationDate": "2027-12-31", "amount": "25000"}


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        ("projectIdentifier", "checkout-dev"),
        ("projectName", "Checkout"),
        ("workspaceIdentifier", "payments"),
        ("customerIdentifier", "payments"),
        ("workspaceName", "Payments"),
        ("customerName", "Payments"),
        ("landingZoneIdentifier", "corp-online"),
        ("landingZoneName", "Corporate online"),
        ("paymentIdentifier", "pm-1"),
        ("paymentName", "Digital"),
        ("paymentExpirationDate", "2027-12-31"),
        ("paymentAmount", "25000"),
        ("contactMail", "contact@corp.example"),
        ("ownerUsername", "jane"),
        ("ownerFirstName", "Jane"),
        ("ownerLastName", "Doe"),
        ("additionalOwnerUsername", "joe"),
        ("additionalOwnerFirstName", "Joe"),
        ("additionalOwnerLastName", "Roe"),
    ],
)
def test_every_variable_comes_from_the_documents(variable: str, expected: str) -> None:
    where = placed(
        platform={"tenantTags": {"tagMappers": [{"key": "key", "valuePattern": f"<${{{variable}}}>"}]}},
        zone={"displayName": "Corporate online"},
        tenant={
            "projectName": "Checkout",
            "workspaceName": "Payments",
            "payment": PAYMENT,
            "contactMail": "contact@corp.example",
            "owners": [JANE, JOE],
        },
    )
    assert variable in tagging.VARIABLES
    assert tags_of(where.platform, where.zone, where.tenant).tags == {"key": f"<{expected}>"}


@pytest.mark.parametrize(
    "variable", sorted(name for name in tagging.VARIABLES if name.startswith(("payment", "owner", "additional")))
)
def test_what_is_not_set_is_none(variable: str) -> None:
    assert value(f"${{{variable}}}") == "none"


def test_without_a_landing_zone_its_variables_say_so() -> None:
    where = placed(
        platform={
            "tenantTags": {"tagMappers": [{"key": "z", "valuePattern": "${landingZoneIdentifier} ${landingZoneName}"}]}
        }
    )
    assert tags_of(where.platform, None, where.tenant).tags == {"z": "no-landingzone no-landingzone"}


def test_a_landing_zone_without_a_display_name_is_told_by_its_name() -> None:
    assert value("${landingZoneName}") == "corp-online"


def test_the_first_owner_is_the_contact_where_no_other_is_given() -> None:
    assert value("${contactMail}", owners=[JANE]) == "jane@corp.example"
    assert value("${contactMail}") == "none"


def test_tags_of_the_project_go_before_those_of_the_payment_and_those_before_the_workspace() -> None:
    sources: dict[str, Any] = {"workspaceTags": {"cmdb-id": ["12"], "a": ["w"], "b": ["w"]}}
    sources["payment"] = {"identifier": "x", "tags": {"cmdb-id": ["34"], "a": ["p"]}}
    sources["projectTags"] = {"cmdb-id": ["56"]}
    assert value("${cmdb-id} ${a} ${b}", **sources) == "56 p w"


def test_a_tag_with_several_values_joins_them() -> None:
    assert value("${regions}", projectTags={"regions": ["eu", "us"]}) == "eu,us"


def test_a_fixed_variable_goes_before_a_tag_of_its_name() -> None:
    assert value("${projectIdentifier}", projectTags={"projectIdentifier": ["other"]}) == "checkout-dev"


def test_a_value_is_never_read_as_a_pattern_itself() -> None:
    assert (
        value("${note}", projectTags={"note": ["${projectIdentifier} \\1 \\g<0>"]}) == "${projectIdentifier} \\1 \\g<0>"
    )


def test_a_mapper_whose_tag_is_not_set_sets_nothing_and_warns() -> None:
    result = tagged(("cost", "${costCenter}"), ("project", "${projectIdentifier}"))
    assert result.tags == {"project": "checkout-dev"}
    assert [warning.code for warning in result.warnings] == ["tag-left-out"]
    assert "${costCenter}" in result.warnings[0].text


def test_the_prefix_goes_before_every_key() -> None:
    assert tagged(("a", "1"), ("b", "2"), prefix="lz_").tags == {"lz_a": "1", "lz_b": "2"}


def test_characters_azure_refuses_in_keys_become_underscores_with_a_warning() -> None:
    result = tagged(("a<b>c%d&e\\f?g/h", "x"))
    assert list(result.tags) == ["a_b_c_d_e_f_g_h"]
    assert [warning.code for warning in result.warnings] == ["tag-key-changed"]


def test_long_keys_and_values_are_cut_with_a_warning() -> None:
    result = tagged(("k" * 600, "${long}"), projectTags={"long": ["v" * 300]})
    ((key, text),) = result.tags.items()
    assert (len(key), len(text)) == (512, 256)
    assert [warning.code for warning in result.warnings] == ["tag-cut", "tag-cut"]


@pytest.mark.parametrize("key", ["microsoft", "Microsoft.cost", "AZURE-x", "azureOwner", "windows", "WindowsLicense"])
def test_a_prefix_that_azure_reserves_is_wrong_in_any_capitals(key: str) -> None:
    (wrong,) = tagged((key, "x")).wrong
    assert wrong.path == ("tenantTags", "tagMappers", 0, "key")
    assert "reserves" in wrong.what


def test_the_namespace_prefix_counts_for_reserved_prefixes_too() -> None:
    assert tagged(("owner", "x"), prefix="azure-").wrong
    assert not tagged(("azure", "x"), prefix="lz_").wrong


@pytest.mark.parametrize(
    ("key", "prefix", "words"),
    [
        (" ", "", "would have an empty name"),
        ("\u00a0", " ", "would have an empty name"),
        ("a\tb", "", "control character U+0009"),
        ("a\n", "", "control character U+000A"),
        ("a", "\x85", "control character U+0085"),
        ("a\u2028b", "", "control character U+2028"),
        (" a", "", "begins or ends with a space"),
        ("a ", "lz_", "begins or ends with a space"),
        ("a", " lz_", "begins or ends with a space"),
        ("k" * 511 + " b", "", "begins or ends with a space"),  # once it is cut
    ],
)
def test_a_key_that_azure_refuses_later_is_wrong_now(key: str, prefix: str, words: str) -> None:
    (wrong,) = tagged((key, "x"), prefix=prefix).wrong
    assert wrong.path == ("tenantTags", "tagMappers", 0, "key")
    assert words in wrong.what
    assert wrong.hint.endswith(".")


@pytest.mark.parametrize(("key", "prefix"), [("cost center", ""), (" a", "lz"), ("größe", ""), ("a", "lz ")])
def test_spaces_within_a_key_are_fine(key: str, prefix: str) -> None:
    assert tagged((key, "x"), prefix=prefix).wrong == ()


def test_two_keys_that_become_one_are_wrong_at_the_second() -> None:
    (wrong,) = tagged(("a/b", "1"), ("c", "2"), ("A?B", "3")).wrong
    assert wrong.path == ("tenantTags", "tagMappers", 2, "key")
    assert 'as the key "a/b" does' in wrong.what


def test_two_keys_that_become_one_by_cutting_are_wrong_as_well() -> None:
    assert tagged(("k" * 512 + "a", "1"), ("k" * 512 + "b", "2")).wrong


def test_the_fifty_first_tag_is_wrong_and_the_fiftieth_is_not() -> None:
    assert not tagged(*((f"t{n}", "x") for n in range(50))).wrong
    (wrong,) = tagged(*((f"t{n}", "x") for n in range(51))).wrong
    assert wrong.path == ("tenantTags", "tagMappers", 50)


@pytest.mark.parametrize("pattern", ["${open", "a ${} b", "#{projectIdentifier}", "${projectName} ${"])
def test_a_pattern_that_is_written_wrong_is_told(pattern: str) -> None:
    assert tagging.pattern_wrong(pattern) is not None


@pytest.mark.parametrize("pattern", ["", "plain", "${a}${b}", "$5 {x}", "100%"])
def test_other_patterns_are_fine(pattern: str) -> None:
    assert tagging.pattern_wrong(pattern) is None


KEYS = st.text(alphabet="aAbB<>%&\\?/ .-_microsft", min_size=1, max_size=700)


@given(keys=st.lists(KEYS, max_size=60), prefix=st.text(alphabet="lz_/A", max_size=5), text=st.text(max_size=400))
def test_whatever_is_mapped_the_tags_are_ones_azure_takes_or_something_is_wrong(
    keys: list[str], prefix: str, text: str
) -> None:
    result = tagged(*((key, "${value}") for key in keys), prefix=prefix, projectTags={"value": [text]})
    for key, made in result.tags.items():
        assert 0 < len(key) <= 512
        assert result.wrong or key == key.strip() != ""
        assert not set(key) & set("<>%&\\?/")
        assert key.startswith(prefix.replace("/", "_"))
        assert made == text[:256]
    folded = [key.casefold() for key in result.tags]
    acceptable = len(keys) <= 50 and len(set(folded)) == len(keys)
    acceptable = acceptable and not any(key.startswith(("microsoft", "azure", "windows")) for key in folded)
    acceptable = acceptable and all(key and key == key.strip() for key in folded)
    assert acceptable == (not result.wrong)


NAMES = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=8)
TAGS = st.dictionaries(NAMES, st.text(max_size=4), max_size=60)


@given(TAGS, TAGS)
def test_a_tag_that_exists_keeps_its_spelling_and_no_tag_is_set_twice(
    mapped: dict[str, str], existing: dict[str, str]
) -> None:
    mapped = {name.lower(): value for name, value in mapped.items()}
    spelled = tagging.spellings(mapped, existing)
    used = [spelled.get(name, name) for name in mapped]
    assert len({name.casefold() for name in used}) == len(mapped)
    for name in used:
        assert name in existing or name.casefold() not in {other.casefold() for other in existing}


@given(TAGS, TAGS, st.sampled_from(["", "a", "lz_"]))
def test_only_tags_with_the_prefix_that_nothing_maps_are_taken_away(
    mapped: dict[str, str], existing: dict[str, str], prefix: str
) -> None:
    existing |= {f"{prefix}{name}": value for name, value in existing.items()}
    platform = placed(platform={"tenantTags": {"namespacePrefix": prefix}}).platform
    gone = tagging.stale(platform, mapped, existing)
    assert gone.items() <= existing.items()
    assert all(prefix and name.casefold().startswith(prefix) for name in gone)
    assert not {name.casefold() for name in gone} & {name.casefold() for name in mapped}
    kept = existing.keys() - gone.keys()
    assert all(
        not prefix or not name.casefold().startswith(prefix) or name.casefold() in {one.casefold() for one in mapped}
        for name in kept
    )


@given(TAGS, TAGS, st.sampled_from(["", "a", "lz_"]))
def test_only_tags_of_somebody_else_that_change_are_told(
    mapped: dict[str, str], existing: dict[str, str], prefix: str
) -> None:
    mapped = {name.lower(): value for name, value in mapped.items()}
    platform = placed(platform={"tenantTags": {"namespacePrefix": prefix}}).platform
    spelled = tagging.spellings(mapped, existing)
    fresh = {spelled.get(name, name): value for name, value in mapped.items()}
    told = [one.code for one in tagging.taken_over(platform, fresh, existing, spelled)]
    theirs = [name for name in fresh if name in existing and not (prefix and name.lower().startswith(prefix))]
    assert told.count("tag-taken-over") == sum(fresh[name] != existing[name] for name in theirs)
    assert told.count("tag-spelled-differently") == len(spelled)


def test_existing_tags_count_against_the_fifty() -> None:
    mapped = {f"m{number}": "" for number in range(10)}
    existing = {f"e{number}": "" for number in range(40)} | {"M0": ""}
    assert tagging.too_many(mapped, existing, ()) is None
    assert tagging.too_many(mapped, existing | {"one-more": ""}, ()) == tuple(
        sorted([*(f"e{number}" for number in range(40)), "one-more"])
    )
    assert tagging.too_many(mapped, existing | {"one-more": ""}, ("E0",)) is None
