"""Expected problems beside each case: `cases/NAME.yaml` is read with `base.yaml` around it, `cases/NAME.txt` is what is said.

`python -m tests.documents.golden` writes the texts anew; the difference is to be reviewed like code.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from runner import documents
from runner.policy.expressions import CelExpressions

HERE = Path(__file__).parent
CASES = tuple(sorted(path.stem for path in (HERE / "cases").glob("*.yaml")))


def said(case: str) -> str:
    """All problems and warnings of a case as they are printed; files are named as seen from the folder of cases."""
    problems: tuple[documents.Problem, ...] = ()
    with contextlib.chdir(HERE / "cases"):
        try:
            warnings = documents.read(
                [Path(f"{case}.yaml")], around=[Path("../base.yaml")], expressions=CelExpressions().problems
            ).warnings
        except documents.DocumentErrors as errors:
            problems, warnings = errors.problems, errors.warnings
    parts = [*problems, "--- warnings ---", *warnings] if warnings else [*problems]
    return "\n\n".join(map(str, parts)) + "\n"


if __name__ == "__main__":
    for name in CASES:
        (HERE / "cases" / f"{name}.txt").write_text(said(name), encoding="utf-8")
