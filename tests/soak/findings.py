"""What a part of the soak found: figures for the report, faults that fail it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

Tell = Callable[[str], None]
"""Says how far a part has got: a line each."""

SHOWN = 20


@dataclass
class Findings:
    """One part's: it passed when there is no fault."""

    name: str
    lines: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    _begun: float = field(default_factory=time.monotonic)

    @property
    def passed(self) -> bool:
        return not self.faults

    def line(self, text: str) -> None:
        """A figure, or what was done."""
        self.lines.append(text)

    def fault(self, text: str) -> None:
        """Something that must not be."""
        self.faults.append(text)

    def require(self, condition: object, text: str) -> None:
        """A fault unless the condition holds."""
        if not condition:
            self.fault(text)

    def finish(self) -> Findings:
        """Note how long it took."""
        self.line(f"took {time.monotonic() - self._begun:.0f} s")
        return self

    def text(self) -> str:
        """For the report."""
        rows = [f"{'PASS' if self.passed else 'FAIL'}  {self.name}", *(f"      {line}" for line in self.lines)]
        rows += [f"      FAULT {fault}" for fault in self.faults[:SHOWN]]
        if len(self.faults) > SHOWN:
            rows.append(f"      … and {len(self.faults) - SHOWN} faults more")
        return "\n".join(rows)

    def assert_passed(self) -> None:
        """For pytest."""
        assert self.passed, self.text()
