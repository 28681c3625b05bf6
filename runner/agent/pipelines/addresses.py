"""Where a definition says that its pipeline is."""

from __future__ import annotations

from urllib.parse import quote

import httpx

from runner.errors import InputError


def address(base: str, service: str) -> str:
    """Where a service is, without a slash at the end; InputError where it is no address."""
    text = base.strip()
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        url = httpx.URL()
    if url.scheme not in ("http", "https") or not url.host or url.userinfo or set(text) & set("?# "):
        raise InputError(
            "The address of the pipeline service is wrong",
            code="pipeline-address-wrong",
            detail=f"The address of {service} in the definition needs a scheme and a host, and no user, password or query.",
            hint="Correct it in the building block definition, or in the integration that it comes from.",
        )
    return text.rstrip("/")


def segment(value: str, what: str) -> str:
    """One segment of a path; InputError for an empty or dotted one, which would address something else."""
    if value.strip(".") == "":
        raise InputError(
            "The definition of the pipeline is not complete",
            code="pipeline-definition-wrong",
            detail=f"The {what} is {value!r}.",
            hint="Correct it in the building block definition.",
        )
    return quote(value, safe="")
