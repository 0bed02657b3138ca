"""What tasks of a filled log are about: real instruments, holdings and market days where the folder of data is there."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"

FIRST_NAMES = ("Ada", "Bruno", "Chiara", "Dmitri", "Elif", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Keiko", "Lars")
LAST_NAMES = (
    "Abbt",
    "Bernasconi",
    "Caflisch",
    "Dubois",
    "Egger",
    "Frei",
    "Gerber",
    "Huber",
    "Imhof",
    "Jenni",
    "Keller",
)

Held = tuple[str, str, str]
Day = tuple[str, str, str]


@dataclass(frozen=True)
class Holdings:
    """Holdings (ISIN, quantity, currency), market days (series, date, value), and where they are from."""

    held: tuple[Held, ...]
    market: tuple[Day, ...]
    source: str

    def full_name(self, client: int) -> bytes:
        """An invented person."""
        return f"{FIRST_NAMES[client % len(FIRST_NAMES)]} {LAST_NAMES[client // 7 % len(LAST_NAMES)]} {client}".encode()

    def payload(self, number: int) -> bytes:
        """What an agent is asked to do, as JSON."""
        isin, quantity, currency = self.held[number % len(self.held)]
        series, date, value = self.market[number % len(self.market)]
        holding = {"isin": isin, "quantity": quantity, "currency": currency}
        return _json({"review": holding, "because": {series: value, "date": date}})

    def result(self, number: int) -> bytes:
        """What the agent found, as JSON."""
        isin, quantity, _ = self.held[number % len(self.held)]
        order = {"isin": isin, "side": "sell" if number % 2 else "buy", "quantity": quantity}
        return _json({"orders": [order], "within_mandate": True})

    def remark(self, number: int) -> bytes:
        """Why a task failed, was given back or cancelled."""
        (isin, *_), (_, date, _) = self.held[number % len(self.held)], self.market[number % len(self.market)]
        return f"no price for {isin} on {date}".encode()


def holdings() -> Holdings:
    """From the folder of data, or invented where it is absent."""
    if not DATA.is_dir():
        held = tuple((f"XX{n:010d}", str(100 + n), "CHF") for n in range(300))
        days = tuple(("volatility", f"2020-03-{1 + n % 28:02d}", f"{20 + n % 40}.5") for n in range(120))
        return Holdings(held, days, f"identifiers in tasks are invented: {DATA} is absent")
    names = "instruments/*.csv, portfolios/sec-nport-*.json, market/vix-daily-stress-windows.csv"
    return Holdings((*_listed(), *_fund()), _volatility(), f"identifiers in tasks are from {names}")


def _listed() -> tuple[Held, ...]:
    rows = [row for name in ("equities-isin", "etfs-isin") for row in _rows(DATA / "instruments" / f"{name}.csv")]
    return tuple((row["isin"], str(10 * (n % 90 + 1)), row["currency"]) for n, row in enumerate(rows))


def _fund() -> tuple[Held, ...]:
    (path,) = (DATA / "portfolios").glob("sec-nport-*.json")
    found = json.loads(path.read_text(encoding="utf-8"))["holdings"]
    return tuple((held["isin"], held["balance"], held["curCd"]) for held in found)


def _volatility() -> tuple[Day, ...]:
    rows = _rows(DATA / "market" / "vix-daily-stress-windows.csv")
    return tuple(("volatility", row["date"], row["close"]) for row in rows)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
