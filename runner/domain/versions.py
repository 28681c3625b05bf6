"""Which version of what its landing zone deploys a tenant has: of blueprints, deployment stacks and building blocks."""

from __future__ import annotations

from runner.domain.configuration import Placed
from runner.domain.facts import Facts
from runner.domain.landing_zone import LandingZone

_COMMIT = 12  # characters of a commit or digest that people are shown


def documented(zone: LandingZone) -> dict[str, str]:
    """What the landing zone's document says, by the name of what has the version."""
    spec = zone.spec
    return {
        **{
            _blueprint(one.name): f"up to {one.max_auto_upgrade_version}"
            if one.max_auto_upgrade_version
            else "the one published last"
            for one in spec.blueprints
        },
        **{_stack(one.name): one.deployed for one in spec.deployment_stacks},
        **{_block(one.called): one.deployed for one in spec.building_blocks},
    }


def planned(placed: Placed, facts: Facts) -> dict[str, str]:
    """What the tenant has once what was planned is applied, by the same names. Facts are those that it was planned from."""
    return {
        **{_blueprint(name): one.version for name, one in facts.blueprints.items()},
        **{_stack(one.name): one.deployed for one in placed.zone.spec.deployment_stacks if one.name in facts.stacks},
        **{
            _block(one.called): " ".join(filter(None, (one.source, (one.commit or one.digest)[:_COMMIT])))
            for one in facts.blocks.values()
        },
    }


def _blueprint(name: str) -> str:
    return f"blueprint {name}"


def _stack(name: str) -> str:
    return f"deployment stack {name}"


def _block(called: str) -> str:
    return f"building block {called}"
