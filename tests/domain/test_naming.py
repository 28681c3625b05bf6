"""Name patterns after java.util.Formatter's rules, and what Azure accepts as names."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.domain import naming
from runner.domain.naming import PatternWrong
from tests.domain.documents import placed

VALUES: dict[str, str | int] = {
    "workspaceIdentifier": "my-workspace",
    "customerIdentifier": "my-workspace",
    "projectIdentifier": "my-project",
    "platform": "azure",
    "tenantPlatformNumber": 4,
    "meshProjectId": 1234567,
    "tagProjectOwner": "jane",
    "platformGroupAlias": "admin",
}


def test_the_documented_example_comes_out_as_documented() -> None:
    pattern = "#{workspaceIdentifier}.#{projectIdentifier:%.7s}-test.#{tenantPlatformNumber:%03d}"
    assert naming.render(pattern, VALUES) == "my-workspace.my-proj-test.004"


# What `String.format(format, value)` gives in Java.
@pytest.mark.parametrize(
    ("java", "expected"),
    [
        ("%s", "my-project"),
        ("%S", "MY-PROJECT"),
        ("%.7s", "my-proj"),
        ("%.0s", ""),
        ("%12s", "  my-project"),
        ("%-12s", "my-project  "),
        ("%-6.2s", "my    "),
        ("%6.2S", "    MY"),
        ("%3s", "my-project"),
        ("%1$s", "my-project"),
        ("<%s>", "<my-project>"),
        ("%s%%", "my-project%"),
        ("%.2s-%.1s", "my-m"),
        ("%.2s%3%", "my  %"),
        ("%.2s%-3%|", "my%  |"),
    ],
)
def test_text_is_formatted_as_java_does(java: str, expected: str) -> None:
    assert naming.render(f"#{{projectIdentifier:{java}}}", VALUES) == expected


@pytest.mark.parametrize(
    ("java", "number", "expected"),
    [
        ("%d", 4, "4"),
        ("%03d", 4, "004"),
        ("%3d", 4, "  4"),
        ("%-3d|", 4, "4  |"),
        ("%03d", 12345, "12345"),
        ("%,d", 1234567, "1,234,567"),
        ("%,12d", 1234567, "   1,234,567"),
        ("%0,12d", 1234567, "0001,234,567"),
        ("%+d", 4, "+4"),
        ("%+05d", 4, "+0004"),
        ("% d", 4, " 4"),
        ("%(d", 4, "4"),
        ("%x", 255, "ff"),
        ("%X", 255, "FF"),
        ("%#x", 255, "0xff"),
        ("%#X", 255, "0XFF"),
        ("%#06x", 255, "0x00ff"),
        ("%06X", 255, "0000FF"),
        ("%o", 8, "10"),
        ("%#o", 8, "010"),
        ("%-6x|", 255, "ff    |"),
        ("%s", 4, "4"),
        ("%5s", 4, "    4"),
        ("%.1s", 42, "4"),
        ("%d", 2**63 - 1, "9223372036854775807"),
    ],
)
def test_numbers_are_formatted_as_java_does(java: str, number: int, expected: str) -> None:
    assert naming.render(f"#{{meshProjectId:{java}}}", {"meshProjectId": number}) == expected


TEXTS = st.text(alphabet=string.ascii_letters + string.digits + "-._ äß€", max_size=80)
WIDTHS = st.integers(min_value=1, max_value=120)


@given(
    value=TEXTS,
    width=st.none() | WIDTHS,
    precision=st.none() | st.integers(0, 100),
    left=st.booleans(),
    upper=st.booleans(),
)
def test_text_is_cut_then_put_into_capitals_then_padded(
    value: str, width: int | None, precision: int | None, left: bool, upper: bool
) -> None:
    flag = "-" if left and width is not None else ""
    form = f"%{flag}{width or ''}{'' if precision is None else f'.{precision}'}{'S' if upper else 's'}"
    made = naming.render(f"#{{projectIdentifier:{form}}}", {"projectIdentifier": value})
    core = "".join(char for position, char in enumerate(value) if precision is None or position < precision)
    core = core.upper() if upper else core
    padding = max(0, (width or 0) - len(core))
    assert len(made) == len(core) + padding
    assert made[: len(core)] + made[len(core) :] == (core + " " * padding if flag else " " * padding + core)


@given(number=st.integers(0, 2**63 - 1), width=WIDTHS, zero=st.booleans(), grouped=st.booleans())
def test_numbers_read_back_as_themselves_and_fill_their_width(
    number: int, width: int, zero: bool, grouped: bool
) -> None:
    form = f"%{'0' if zero else ''}{',' if grouped else ''}{width}d"
    made = naming.render(f"#{{meshProjectId:{form}}}", {"meshProjectId": number})
    assert int(made.strip().replace(",", "")) == number
    assert len(made) >= width
    assert len(made) == width or not made.startswith((" ", "0")) or number == 0
    assert zero or made.lstrip(" ") == (f"{number:,}" if grouped else str(number))


@given(number=st.integers(0, 2**63 - 1), width=WIDTHS, zero=st.booleans(), prefix=st.booleans())
def test_hexadecimal_numbers_read_back_as_themselves(number: int, width: int, zero: bool, prefix: bool) -> None:
    made = naming.render(
        f"#{{meshProjectId:%{'#' if prefix else ''}{'0' if zero else ''}{width}x}}", {"meshProjectId": number}
    )
    assert int(made.strip(), 16) == number
    assert len(made) >= width
    assert ("0x" in made) == prefix


@given(text=st.text(alphabet=string.printable + "äß€", max_size=60).filter(lambda text: "#{" not in text))
def test_text_outside_of_variables_stays_as_it_is(text: str) -> None:
    assert naming.render(text, {}) == text


@given(text=st.text(alphabet="#{}:%.$-0123456789sSdxa", max_size=40))
def test_any_pattern_is_read_or_refused_with_a_position_in_it(text: str) -> None:
    position = 0
    try:
        naming.parse(text)
    except PatternWrong as error:
        position = error.position
    assert 0 <= position < max(1, len(text))


# What Java throws at while formatting, refused when the pattern is read.
@pytest.mark.parametrize(
    ("pattern", "position", "words"),
    [
        ("a-#{projectIdentifier", 2, "never closed"),
        ("a#{projectIdentifer}", 1, 'no variable "projectIdentifer"'),
        ("#{}", 0, 'no variable ""'),
        ("#{tag}", 0, 'no variable "tag"'),
        ("#{tagged}", 0, 'no variable "tagged"'),
        ("#{projectIdentifier:%d}", 20, "for numbers"),
        ("#{projectIdentifier:%x}", 20, "for numbers"),
        ("#{projectIdentifier:a%q}", 21, "no conversion"),
        ("#{projectIdentifier:%t}", 20, "no conversion"),
        ("#{projectIdentifier:%n}", 20, "no conversion"),
        ("#{projectIdentifier:%}", 20, "no conversion"),
        ("#{projectIdentifier:%D}", 20, "no conversion"),
        ("#{projectIdentifier:%2$s}", 20, "only one"),
        ("#{projectIdentifier:%<s}", 20, "only one"),
        ("#{projectIdentifier:%-s}", 20, "needs a width"),
        ("#{tenantPlatformNumber:%0d}", 23, "needs a width"),
        ("#{tenantPlatformNumber:%-03d}", 23, "exclude each other"),
        ("#{tenantPlatformNumber:%+ d}", 23, "exclude each other"),
        ("#{tenantPlatformNumber:%--3d}", 23, "twice"),
        ("#{tenantPlatformNumber:%.2d}", 23, "precision"),
        ("#{tenantPlatformNumber:%#d}", 23, 'flag "#"'),
        ("#{tenantPlatformNumber:%,x}", 23, 'flag ","'),
        ("#{projectIdentifier:%05s}", 20, 'flag "0"'),
        ("#{projectIdentifier:%#s}", 20, 'flag "#"'),
        ("#{projectIdentifier:%9999999999s}", 20, "wider than any name"),
        ("#{projectIdentifier:%.9999999999s}", 20, "wider than any name"),
        ("#{projectIdentifier:x}", 20, "nowhere"),
        ("#{projectIdentifier:}", 20, "nowhere"),
        ("#{projectIdentifier:%%}", 20, "nowhere"),
    ],
)
def test_a_pattern_that_cannot_work_is_refused_where_it_is_wrong(pattern: str, position: int, words: str) -> None:
    with pytest.raises(PatternWrong) as caught:
        naming.parse(pattern)
    assert (caught.value.position, words in caught.value.detail) == (position, True), caught.value.detail


def test_a_misspelt_variable_is_answered_with_the_nearest_one() -> None:
    with pytest.raises(PatternWrong) as caught:
        naming.parse("#{workspaceIdentifer}")
    assert caught.value.hint == "Did you mean #{workspaceIdentifier}?"


def test_a_variable_without_a_value_is_an_error_never_an_empty_name() -> None:
    with pytest.raises(PatternWrong, match="tagCostCenter"):
        naming.render("#{tagCostCenter}", VALUES)
    with pytest.raises(PatternWrong, match="meshProjectId"):
        naming.render("#{meshProjectId}", {})


def test_a_pattern_tells_its_variables_once_and_in_order() -> None:
    pattern = naming.parse("#{platform}-#{projectIdentifier}-#{platform:%.3s}-#{tagOwner}")
    assert pattern.variables == ("platform", "projectIdentifier", "tagOwner")


def test_variables_come_from_the_documents() -> None:
    tenant = {
        "meshProjectId": 17,
        "tenantPlatformNumber": 4,
        "workspaceTags": {"costCenter": ["1"], "owner": ["w"]},
        "projectTags": {"costCenter": ["2", "3"]},
    }
    where = placed(tenant=tenant)
    values = naming.variables(where.platform, where.tenant)
    rand = values.pop("rand")
    assert values == {
        "workspaceIdentifier": "payments",
        "customerIdentifier": "payments",
        "projectIdentifier": "checkout-dev",
        "platform": "azure",
        "meshProjectId": 17,
        "tenantPlatformNumber": 4,
        "tagCostCenter": "2,3",
        "tagOwner": "w",
    }
    assert isinstance(rand, str)
    assert len(rand) == 100
    assert rand.isalnum()
    assert rand.isascii()


def test_rand_never_changes_and_differs_between_tenants() -> None:
    where = placed()
    values = naming.variables(where.platform, where.tenant)
    assert str(values["rand"]).startswith("6jt9tfgrpmvs4tx1")
    assert naming.variables(where.platform, where.tenant)["rand"] == values["rand"]
    other = where.tenant.model_copy(update={"metadata": where.tenant.metadata.model_copy(update={"name": "other"})})
    assert naming.variables(where.platform, other)["rand"] != values["rand"]


@pytest.mark.parametrize("name", ["a", "Payments (dev)", "x" * 64, "zażółć", "a&b?c"])
def test_azure_takes_these_as_subscription_names(name: str) -> None:
    assert naming.subscription_name_wrong(name) is None


@pytest.mark.parametrize("name", ["", "   ", "x" * 65, "a<b", "a>b", "a;b", "a|b", "a\nb", " a", "a "])
def test_azure_refuses_these_as_subscription_names(name: str) -> None:
    wrong = naming.subscription_name_wrong(name)
    assert wrong is not None
    assert wrong.what.endswith(".")
    assert wrong.hint.endswith(".")


@pytest.mark.parametrize("name", ["a", "payments.checkout-dev-admin", "x" * 256, "a/b <c>"])
def test_graph_takes_these_as_group_names(name: str) -> None:
    assert naming.group_name_wrong(name) is None


@pytest.mark.parametrize("name", ["", " ", "x" * 257, "a\tb", "a\x00b", "a ", "a\u2028b"])
def test_graph_refuses_these_as_group_names(name: str) -> None:
    assert naming.group_name_wrong(name) is not None


@pytest.mark.parametrize("name", ["a", "rg-payments_dev.(1)", "x" * 90, "größe", ".a", "東京-٣"])
def test_azure_takes_these_as_resource_group_names(name: str) -> None:
    assert naming.resource_group_name_wrong(name) is None


@pytest.mark.parametrize(
    "name", ["", "x" * 91, "a.", "a b", "a/b", "a&b", "a\n", "a#b", "rg-½", "m²", "a①", "Ⅷ", "e\u0301", "𝒜", "a\u200db"]
)
def test_azure_refuses_these_as_resource_group_names(name: str) -> None:
    assert naming.resource_group_name_wrong(name) is not None
