"""The members of a bundle that people read: a table for spreadsheets, and pages for a browser."""

from __future__ import annotations

import csv
import html
import io
import json
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from eventstore.proof.export.manifest import page_name
from eventstore.records import RecordedEvent
from eventstore.times import timestamp

PAGE_EVENTS = 5_000
"""Events of one page: a browser shows more only slowly."""

COLUMNS = (
    "position", "recorded_at", "title", "type", "actor", "on_behalf_of", "subjects", "stream", "version", "data",
    "effective_at", "correlation_id", "causation_id", "command_id", "event_id",
)  # fmt: skip

BYTE_ORDER_MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"
"""By it spreadsheets know that the table is UTF-8."""


class Shown(NamedTuple):
    """What people are shown of an event: a line that says what happened, and its data as JSON, opened for whoever asked."""

    event: RecordedEvent
    title: str
    data: str


def table_head() -> bytes:
    """The table's first line."""
    return _csv([COLUMNS])


def table_rows(events: Iterable[Shown]) -> bytes:
    """A line for each event."""
    return _csv([_guarded(cell) for cell in _cells(one)] for one in events)


def _csv(rows: Iterable[Iterable[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _cells(shown: Shown) -> list[str]:
    event = shown.event
    values = {
        "position": event.position, "recorded_at": timestamp(event.recorded_at), "title": shown.title, "type": event.type,
        "actor": event.actor, "on_behalf_of": event.on_behalf_of, "subjects": " ".join(event.subjects),
        "stream": event.stream, "version": event.version, "data": shown.data,
        "effective_at": timestamp(event.effective_at), "correlation_id": event.correlation_id,
        "causation_id": event.causation_id, "command_id": event.command_id, "event_id": event.event_id,
    }  # fmt: skip
    return ["" if values[name] is None else str(values[name]) for name in COLUMNS]


def _guarded(cell: str) -> str:
    """A spreadsheet runs what begins like a formula; with an apostrophe before it, it is text."""
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title><style>
body {{ font: 14px/1.4 system-ui, sans-serif; margin: 1.5em; }}
table {{ border-collapse: collapse; width: 100%; }}
td, th {{ border-top: 1px solid #bbb; padding: .3em .6em; text-align: left; vertical-align: top; }}
dl {{ display: grid; grid-template-columns: max-content auto; gap: 0 .8em; margin: 0; }}
dd {{ margin: 0; overflow-wrap: anywhere; }} dt, small {{ color: #555; }}
</style></head><body><h1>{title}</h1>{told}{links}
<table><thead><tr><th>Position</th><th>Recorded at</th><th>What</th><th>Who</th><th>Data</th></tr></thead><tbody>
"""
_FOOT = "</tbody></table>{links}</body></html>\n"


class Pages:
    """Pages of one export: so many events in all, `told` in lines under the heading."""

    def __init__(self, title: str, told: Sequence[str], count: int) -> None:
        self.number = max(1, -(-count // PAGE_EVENTS))
        self._title = title
        self._told = told

    def head(self, page: int) -> bytes:
        """What stands before the events of a page, from 1."""
        told = "".join(f"<p>{html.escape(line)}</p>" for line in self._told) if page == 1 else ""
        return _HEAD.format(title=html.escape(self._title), told=told, links=self._links(page)).encode()

    def foot(self, page: int) -> bytes:
        """What stands after them."""
        return _FOOT.format(links=self._links(page)).encode()

    def _links(self, page: int) -> str:
        if self.number == 1:
            return ""
        links = [f"page {page} of {self.number}"]
        if page > 1:
            links.append(f'<a href="{page_name(page - 1)}">before</a>')
        if page < self.number:
            links.append(f'<a href="{page_name(page + 1)}">after</a>')
        return f"<p>{' · '.join(links)}</p>"


def page_rows(events: Iterable[Shown]) -> bytes:
    """The events of a page."""
    return "".join(map(_page_row, events)).encode()


def _page_row(shown: Shown) -> str:
    event = shown.event
    who = event.actor if event.on_behalf_of is None else f"{event.actor} for {event.on_behalf_of}"
    return (
        f'<tr id="{event.position}"><td>{event.position}<td>{timestamp(event.recorded_at)}<td>{html.escape(shown.title)}'
        f"<br><small>{html.escape(event.type)}, {html.escape(event.stream)} version {event.version}</small>"
        f"<td>{html.escape(who)}<td>{_listed(json.loads(shown.data))}</tr>\n"
    )


def _listed(data: Any) -> str:
    if not isinstance(data, dict):
        return html.escape(_told(data))
    pairs = (f"<dt>{html.escape(str(name))}<dd>{html.escape(_told(value))}" for name, value in data.items())
    return f"<dl>{''.join(pairs)}</dl>"


def _told(value: Any) -> str:
    if value == {"erased": True}:
        return "erased"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
