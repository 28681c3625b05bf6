"""What every route of a page is declared with: a page reads; a form does one thing and leads back to a page."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends

from runner.domain.actor import Act
from runner.web.desk import Desk
from runner.web.gate import Needs

router = APIRouter(include_in_schema=False)

Looking = Annotated[Desk, Depends(Needs(Act.LOOK))]
Operating = Annotated[Desk, Depends(Needs(Act.OPERATE))]
Approving = Annotated[Desk, Depends(Needs(Act.APPROVE))]

ROWS = 100  # of a list, before the next page
