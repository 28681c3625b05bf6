"""Blocks that people build by hand: nothing is carried out, and the inputs are the outputs."""

from __future__ import annotations

from runner.agent.contract import BlockRun, Status
from runner.agent.pipelines.interface import Outcome, Told

STEP = ("manual", "Manual Block Run")
_OUTPUT_TYPES = {"FILE": "STRING", "LIST": "CODE", "MULTI_SELECT": "CODE", "SINGLE_SELECT": "STRING"}


def execute(run: BlockRun, told: Told) -> Outcome:
    """Succeeds at once. An output has its input's value and flag, and the type that outputs have for it."""
    outputs = {
        one.key: {
            "value": one.value,
            "type": _OUTPUT_TYPES.get(one.type, one.type),
            "isSensitive": one.is_sensitive,
        }
        for one in run.block.spec.inputs
    }
    told.step(*STEP, Status.SUCCEEDED, outputs=outputs)
    return Outcome.SUCCEEDED
