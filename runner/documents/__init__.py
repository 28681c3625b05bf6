"""Documents as people write them: YAML files in, checked values out, or one error with everything that is wrong.

Wrong input ends here, with file, line and field, before anything exists. This package knows files, YAML and words for people; what
platforms, landing zones and tenants *are* is `runner.domain`'s. Secrets are never in documents, so all of this may be kept.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from runner.documents import beside, fields, files, rules, syntax
from runner.documents.findings import Loaded
from runner.documents.problems import DocumentErrors, Problem, did_you_mean, dotted, shown
from runner.domain.configuration import Placed, Snapshot
from runner.domain.landing_zone import LandingZone
from runner.domain.platform import AzurePlatform
from runner.domain.tenant import Tenant
from runner.errors import InputError

__all__ = ["DocumentErrors", "Documents", "Problem", "are_there", "digest_of", "digest_of_placed", "read", "stand_in"]

MOST_PROBLEMS = (
    1000  # of one file, give or take a document; nobody reads more, and finding the words for each takes time
)


@dataclass(frozen=True)
class Documents:
    """Everything that was read, by name. `chosen` are the tenants of the paths that were asked for, in the order of files;
    `places` says by kind and name in which file a document is, and `file:line` of its beginning."""

    platforms: Mapping[str, AzurePlatform]
    zones: Mapping[str, LandingZone]
    tenants: Mapping[str, Tenant]
    chosen: tuple[str, ...]
    warnings: tuple[Problem, ...]
    places: Mapping[tuple[str, str], tuple[str, str]]

    def placed(self, tenant: str) -> Placed:
        """The tenant with its landing zone and platform; InputError when there is none of that name."""
        if tenant not in self.tenants:
            raise InputError(
                "There is no such tenant",
                code="tenant-unknown",
                detail=f"The documents have no tenant {shown(tenant)}.",
                hint=did_you_mean(tenant, self.tenants),
            )
        found = self.tenants[tenant]
        zone = self.zones[found.spec.landing_zone_ref.name]
        return Placed(platform=self.platforms[zone.spec.platform_ref.name], zone=zone, tenant=found)

    def stand_in(self, kept: Placed) -> Placed:
        """A tenant that is documented no longer, in its landing zone and platform as they are documented now, or else as they were."""
        zone = self.zones.get(kept.zone.name, kept.zone)
        platform = self.platforms.get(zone.spec.platform_ref.name, kept.platform)
        return Placed(platform=platform, zone=zone, tenant=kept.tenant)

    def neighbours(self, tenant: str) -> dict[str, str]:
        """Management groups of the other landing zones in the platform's Entra tenant, by the zone's name."""
        own, entra_tenant = self.placed(tenant).zone, self.placed(tenant).platform.spec.entra_tenant.casefold()
        return {
            name: zone.spec.azure_management_group_id
            for name, zone in sorted(self.zones.items())
            if name != own.name
            and self.platforms[zone.spec.platform_ref.name].spec.entra_tenant.casefold() == entra_tenant
            and zone.spec.azure_management_group_id
        }

    def others(self, tenant: str) -> tuple[str, ...]:
        """Subscriptions that other tenants name, where the tenant's is to be taken from a pool; none otherwise."""
        placed = self.placed(tenant)
        provisioning = placed.platform.spec.provisioning
        pooled = provisioning is not None and provisioning.pre_provisioned is not None
        if not pooled or placed.tenant.spec.platform_tenant_id is not None:
            return ()
        named = (one.spec.platform_tenant_id for name, one in self.tenants.items() if name != tenant)
        shared = (one.spec.subscription_id for one in self.platforms.values())
        return tuple(sorted({one for one in (*named, *shared) if one is not None}))

    def source(self, kind: str, name: str) -> str:
        """`file:line` where the document of this kind and name begins."""
        return self.places[kind, name][1]

    def files(self, tenant: str) -> tuple[str, ...]:
        """The files that hold the tenant, its landing zone and its platform, as they were named when they were read."""
        placed = self.placed(tenant)
        kinds = (("Tenant", placed.tenant), ("LandingZone", placed.zone), ("AzurePlatform", placed.platform))
        return tuple(dict.fromkeys(self.places[kind, document.name][0] for kind, document in kinds))

    def snapshot(self, tenant: str) -> dict[str, Any]:
        """The tenant, its landing zone and its platform as JSON; `Placed.model_validate` reads it back."""
        return self.placed(tenant).model_dump(mode="json", by_alias=True)

    def for_run(self, tenant: str) -> Snapshot:
        """Everything that a run of the tenant keeps of the documents."""
        return Snapshot(
            placed=self.placed(tenant),
            digest=self.digest(tenant),
            files=tuple(str(Path(file).absolute()) for file in self.files(tenant)),
            neighbours=self.neighbours(tenant),
            others=self.others(tenant),
        )

    def digest(self, tenant: str) -> str:
        """Digest of everything the documents say about the tenant: it changes exactly when one of the three documents does."""
        return digest_of_placed(self.placed(tenant))


def are_there(paths: Sequence[Path]) -> bool:
    """Whether there is a document to read, or something wrong that reading it would tell."""
    reading = files.Reading()
    return next(files.texts(paths, reading), None) is not None or bool(reading.problems)


def stand_in(paths: Sequence[Path], kept: Placed) -> Placed:
    """As Documents.stand_in, where there may be no documents at all. DocumentErrors where there are and something is wrong."""
    return read(paths).stand_in(kept) if are_there(paths) else kept


def digest_of_placed(placed: Placed) -> str:
    """Digest of everything that is said about the tenant."""
    return digest_of(placed.model_dump(mode="json", by_alias=True))


def digest_of(snapshot: Mapping[str, Any]) -> str:
    """SHA-256 over the canonical JSON of a snapshot."""
    return sha256(json.dumps(snapshot, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()).hexdigest()


def read(
    paths: Sequence[Path], *, around: Sequence[Path] = (), expressions: rules.LookAtExpressions | None = None
) -> Documents:
    """Read all documents of the files and folders; DocumentErrors with all problems of all files when there are any.

    `around` names files and folders whose documents belong to it too (a tenant's landing zone may be in another file); their
    tenants are checked with the others and are not `chosen`. With `expressions`, those of approval rules are looked at as well.
    """
    reading = files.Reading()
    loaded, problems = _load(paths, reading)
    chosen = len(loaded)
    more, more_problems = _load(around, reading)
    problems += more_problems + reading.problems
    if not loaded and not problems:
        problems.append(
            Problem(
                str(paths[0]) if paths else "", 0, 0, "", "There are no documents here.", "lzr init writes a first set."
            )
        )
    findings = rules.look([] if reading.broken_off else [*loaded, *more], expressions)
    problems += list(findings.problems)
    if problems:
        raise DocumentErrors(sorted(problems, key=_by_place), sorted(findings.warnings, key=_by_place))
    return _documents([*loaded, *more], chosen, list(findings.warnings))


def _load(paths: Sequence[Path], reading: files.Reading) -> tuple[list[Loaded], list[Problem]]:
    loaded: list[Loaded] = []
    problems: list[Problem] = []
    for file, text in files.texts(paths, reading):
        before = len(problems)
        for raw in syntax.documents(text):
            if (found := len(problems) - before) >= MOST_PROBLEMS:
                reading.broken_off = True
                more = f"There may be more: the file has {found} problems up to here, and the rest of it was not looked at."
                problems.append(Problem(file, raw.line, 1, "", more, "Mend those first."))
                break
            problems += [_flaw(file, flaw) for flaw in raw.flaws]
            if raw.data is None and raw.flaws:
                continue
            data, of_files = beside.put_in(file, raw.data)
            document = Loaded(file, raw.line, raw.source, fields.check(data))
            problems += [
                document.problem_as_written(w.path, w.message, w.hint, at_key=w.at_key)
                for w in (*of_files, *document.checked.wrong)
            ]
            loaded.append(document)
    return loaded, problems


def _flaw(file: str, flaw: syntax.Flaw) -> Problem:
    return Problem(file, flaw.line, flaw.column, dotted(flaw.path), flaw.message, flaw.hint)


def _documents(loaded: Sequence[Loaded], chosen: int, warnings: Sequence[Problem]) -> Documents:
    platforms: dict[str, AzurePlatform] = {}
    zones: dict[str, LandingZone] = {}
    tenants: dict[str, Tenant] = {}
    for document in (entry.checked.document for entry in loaded):
        match document:
            case AzurePlatform():
                platforms[document.name] = document
            case LandingZone():
                zones[document.name] = document
            case Tenant():
                tenants[document.name] = document
    asked = tuple(
        entry.checked.document.name for entry in loaded[:chosen] if isinstance(entry.checked.document, Tenant)
    )
    places = {(entry.checked.kind, entry.checked.name or ""): (entry.file, entry.at) for entry in loaded}
    return Documents(platforms, zones, tenants, asked, tuple(sorted(warnings, key=_by_place)), places)


def _by_place(problem: Problem) -> tuple[str, int, int, str]:
    return (problem.file, problem.line, problem.column, problem.field)
