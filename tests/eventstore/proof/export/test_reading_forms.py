"""What people read of a bundle: a table and pages, with every event and nothing that runs."""

from __future__ import annotations

import csv
import io
import json
import re
from html.parser import HTMLParser

import pytest

from eventstore.exporting import bundle, reading_forms
from eventstore.exporting.reading_forms import Pages, Shown, page_rows, table_rows
from tests.eventstore.proof.export.bundles import EVENTS, event, make, verdict


class Text(HTMLParser):
    """The text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.said.append(data)


def test_people_can_read_it() -> None:
    """Table and page have every event; no content becomes a formula or markup."""
    members = make().members
    table = list(csv.DictReader(io.StringIO(members["events.csv"].decode("utf-8-sig"))))
    assert [int(row["position"]) for row in table] == list(range(1, EVENTS + 1, 3))
    assert table[0]["title"] == "Event 1"
    assert json.loads(table[0]["data"])["note"] == "ä <b> =1+1"
    page = Text()
    page.feed(members["events.html"].decode())
    assert "ä <b> =1+1" in page.said
    assert not page.tags & {"b", "script", "img", "link"}
    assert len(re.findall(rb"<tr id=", members["events.html"])) == len(table) == 14


def test_many_events_go_on_on_further_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each page leads to the one before and the one after; all events are there once; the bundle is verified."""
    monkeypatch.setattr(bundle, "PAGE_EVENTS", 6)
    monkeypatch.setattr(reading_forms, "PAGE_EVENTS", 6)
    made = make()
    pages = [made.members[name].decode() for name in ("events.html", "events-2.html", "events-3.html")]
    assert [int(place) for page in pages for place in re.findall(r'<tr id="([0-9]+)"', page)] == list(
        range(1, EVENTS + 1, 3)
    )
    assert 'href="events-2.html"' in pages[0]
    assert 'href="events.html"' in pages[1]
    assert 'href="events-3.html"' in pages[1]
    assert 'href="events-2.html"' in pages[2]
    assert verdict(made.data, made.checkpoint()).verdict == "verified"


def test_nothing_that_callers_choose_runs() -> None:
    """A correlation id that is a formula is text in the table; names that are markup are text on the page."""
    odd = event(1, "TaskCreated", "task-1", 1, {"<script>": {"erased": True}})
    odd.correlation_id, odd.actor = "=cmd|'/c calc'!A1", "user:<b>"
    shown = [Shown(odd, "<i>", odd.data.decode())]
    (row,) = csv.reader(io.StringIO(table_rows(shown).decode()))
    assert "'=cmd|'/c calc'!A1" in row
    page = Text()
    page.feed((Pages("<title>", ["<p>"], 1).head(1) + page_rows(shown)).decode())
    assert not page.tags & {"script", "b", "i"}
    assert {"<script>", "erased", "user:<b>", "<i>"} <= set(page.said)
