"""What documents have to agree on with each other: names given once, references that lead somewhere. And the order of all rules.

Every rule says where the mistake is mended: in the tenant, its landing zone or its platform. A document of which something had to
be left out takes part as far as it goes; rules about what is *missing* stay silent around it, for it may be what was left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from runner.documents import blocks, foundations, tenants
from runner.documents.findings import Findings, Loaded, Place
from runner.documents.problems import Path, did_you_mean, shown
from runner.domain.configuration import Placed
from runner.domain.landing_zone import LandingZone
from runner.domain.platform import AzurePlatform
from runner.domain.tenant import Tenant

WORDS = {"AzurePlatform": "platform", "LandingZone": "landing zone", "Tenant": "tenant"}


LookAtExpressions = Callable[[Sequence[str]], Sequence[str]]
"""What is wrong with each of these CEL expressions, in a sentence; empty where nothing is."""


def look(documents: Sequence[Loaded], expressions: LookAtExpressions | None = None) -> Findings:
    """All rules over all documents."""
    findings = Findings()
    platforms = _by_name("AzurePlatform", documents, findings)
    zones = _by_name("LandingZone", documents, findings)
    asked = _by_name("Tenant", documents, findings)
    for loaded in platforms.values():
        if isinstance(loaded.checked.document, AzurePlatform):
            foundations.platform_rules(loaded, loaded.checked.document, findings)
    for loaded in zones.values():
        _zone(loaded, platforms, findings)
    if expressions is not None:
        _expressions(list(zones.values()), expressions, findings)
    foundations.shared_groups(list(zones.values()), platforms, findings)
    found = [(loaded, _place(loaded, zones, platforms, findings)) for loaded in asked.values()]
    places = [place for _, place in found if place is not None]
    tenants.tenant_rules(places, findings)
    for place in places:
        blocks.tenant_rules(place, findings)
    foundations.tag_variables(places, [loaded for loaded, place in found if place is None], findings)
    return findings


def _by_name(kind: str, documents: Sequence[Loaded], findings: Findings) -> dict[str, Loaded]:
    found: dict[str, Loaded] = {}
    folded: dict[str, Loaded] = {}
    for loaded in documents:
        name = loaded.checked.name
        if loaded.checked.kind != kind or name is None:
            continue
        first = folded.setdefault(name.casefold(), loaded)
        if first is loaded:
            found[name] = loaded
        else:
            findings.wrong(
                loaded,
                ("metadata", "name"),
                f"There is a {WORDS[kind]} {shown(first.checked.name)} already: {first.at}.",
                "Give one of them another name, or remove it.",
            )
    return found


def _referred(loaded: Loaded, kind: str, known: Mapping[str, Loaded], path: Path, findings: Findings) -> Loaded | None:
    name = loaded.checked.refers
    if name is None or name in known:
        return known.get(name or "")
    hint = did_you_mean(name, known) or f"Give the file with that {WORDS[kind]} too, or the folder with all documents."
    findings.wrong(loaded, path, f"There is no {WORDS[kind]} {shown(name)}.", hint)
    return None


def _place(
    loaded: Loaded, zones: Mapping[str, Loaded], platforms: Mapping[str, Loaded], findings: Findings
) -> Place | None:
    zone = _referred(loaded, "LandingZone", zones, ("spec", "landingZoneRef", "name"), findings)
    if zone is None or not isinstance(zone.checked.document, LandingZone):
        return None
    platform = platforms.get(zone.checked.refers or "")
    if platform is None or not isinstance(platform.checked.document, AzurePlatform):
        return None
    tenant = loaded.checked.document
    if not isinstance(tenant, Tenant):
        return None
    # constructed, not validated: the three have been
    placed = Placed.model_construct(platform=platform.checked.document, zone=zone.checked.document, tenant=tenant)
    return Place(placed, loaded, zone, platform)


def _expressions(zones: Sequence[Loaded], look_at: LookAtExpressions, findings: Findings) -> None:
    """What is wrong with the expressions of approval rules, all at once: each look starts a process."""
    found: list[tuple[Loaded, Path, str]] = [
        (loaded, ("spec", "approval", "rules", index, "when"), rule.when)
        for loaded in zones
        if isinstance(loaded.checked.document, LandingZone)
        for index, rule in enumerate(loaded.checked.document.spec.approval.rules)
    ]
    problems = look_at([when for *_, when in found]) if found else ()
    for (loaded, path, _), problem in zip(found, problems, strict=True):
        if problem:
            findings.wrong(loaded, path, problem, "The README's section Policy lists what an expression may use.")


def _zone(loaded: Loaded, platforms: Mapping[str, Loaded], findings: Findings) -> None:
    found = _referred(loaded, "AzurePlatform", platforms, ("spec", "platformRef", "name"), findings)
    zone = loaded.checked.document
    if not isinstance(zone, LandingZone):
        return
    platform = found.checked.document if found else None
    platform = platform if isinstance(platform, AzurePlatform) else None
    foundations.zone_rules(loaded, zone, findings)
    blocks.zone_rules(loaded, zone, findings)
    foundations.zone_groups(loaded, zone, platform, findings)
    if found is None or platform is None:
        return
    foundations.zone_on_platform(loaded, zone, platform, findings)
    blocks.zone_on_platform(loaded, zone, platform, findings)
    nothing_mapped = not zone.spec.azure_role_mappings and not platform.spec.azure_role_mappings
    if nothing_mapped and loaded.checked.whole and found.checked.whole:
        message = "Neither the landing zone nor its platform maps any role: nobody gets access."
        findings.warn(loaded, ("spec",), message, "Add azureRoleMappings.")
