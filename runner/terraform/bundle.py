"""What is sealed for a run: its plan file with the facts that a review and an approval rest on.

The configuration is not in it: it is composed and written again before it is applied, and must have the same digest.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode, b64encode
from dataclasses import dataclass
from pathlib import Path

from runner.domain.review import BundleFacts
from runner.terraform.engine import LOCK_FILE, PLAN_FILE


@dataclass(frozen=True)
class Bundle:
    """A plan file and the lock file of the providers that it was made with."""

    facts: BundleFacts
    plan: bytes
    lock: bytes

    def packed(self) -> bytes:
        """As one piece of bytes, a secret throughout."""
        plan, lock = (b64encode(content).decode() for content in (self.plan, self.lock))
        return json.dumps({"facts": self.facts.model_dump(mode="json"), "plan": plan, "lock": lock}).encode()

    def restore(self, directory: Path) -> None:
        """Put both files where the engine expects them; the plan file for its owner alone."""
        if self.lock:
            (directory / LOCK_FILE).write_bytes(self.lock)
        (directory / PLAN_FILE).touch(mode=0o600)
        (directory / PLAN_FILE).write_bytes(self.plan)

    def is_whole(self) -> bool:
        """Whether the files are the very ones that the facts tell of."""
        return (sha256(self.plan), sha256(self.lock)) == (self.facts.plan_file, self.facts.lock_file)


def unpacked(content: bytes) -> Bundle:
    """What `packed` gave."""
    read = json.loads(content)
    return Bundle(
        facts=BundleFacts.model_validate(read["facts"]), plan=b64decode(read["plan"]), lock=b64decode(read["lock"])
    )


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
