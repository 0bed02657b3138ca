"""The documents say what the code does: each list in them is compared with the code it is about."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.routing import Route

from api.app import Fidelog
from api.backend import Backend
from api.cli import ALONE, COMMANDS
from api.settings import SETTINGS, read
from api.witness import settings as witness_settings

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
README = (ROOT / "README.md").read_text(encoding="utf-8")
RECORD = (ROOT / "docs" / "spec" / "event-record.md").read_text(encoding="utf-8")
LEAF = (ROOT / "docs" / "spec" / "leaf.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_CODE_BLOCK = re.compile(r"^ *```.*?^ *```", re.DOTALL | re.MULTILINE)


def section(text: str, title: str) -> str:
    """What stands under a second-level heading."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    assert found is not None, f"there is no section {title}"
    return found[1]


def table(text: str) -> list[list[str]]:
    """The cells of a section's table rows, without headings, code marks taken off."""
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip().strip("`") for cell in row] for row in rows]


def links() -> Iterator[tuple[Path, str]]:
    """Every link of every page to a file or heading of the project."""
    for page in PAGES:
        text = _CODE_BLOCK.sub("", page.read_text(encoding="utf-8"))
        for target in _LINK.findall(text):
            if not re.match(r"[a-z]+:", target):
                yield page, target


def headings(page: Path) -> set[str]:
    """The anchors of a page, made from its headings."""
    text = _CODE_BLOCK.sub("", page.read_text(encoding="utf-8"))
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def routes() -> set[tuple[str, str]]:
    """Every method and path the application answers."""
    app = Fidelog(Backend(read(environment={})))
    found = [route for route in app.routes if isinstance(route, Route)]
    assert len(found) == len(app.routes)
    return {(method, route.path) for route in found for method in (route.methods or set()) - {"HEAD"}}


def columns_of_events() -> list[tuple[str, str, str]]:
    """Name, type and whether null is allowed, of every column of fidelog.events in docs/schema.sql."""
    schema = (ROOT / "docs" / "schema.sql").read_text(encoding="utf-8")
    found = re.search(r"^CREATE TABLE fidelog\.events \(\n(.*?)^\);", schema, re.DOTALL | re.MULTILINE)
    assert found is not None
    lines = [line.strip().rstrip(",") for line in found[1].splitlines() if not line.strip().startswith("CONSTRAINT")]
    columns = []
    for line in lines:
        name, _, rest = line.partition(" ")
        kind = re.split(r" NOT NULL| COLLATE", rest)[0]
        columns.append((name.strip('"'), kind, "no" if "NOT NULL" in rest else "yes"))
    return columns


def test_the_settings_table_is_the_settings() -> None:
    """Every setting stands in the README with its name and default, and no other does."""
    described = {row[0]: "" if row[1] == "none" else row[1] for row in table(section(README, "Settings"))}
    assert described == {setting.variable: setting.default for setting in SETTINGS}


def test_the_settings_of_a_witness_are_described() -> None:
    """Every setting of a witness stands in the table of its section with name and default, and no other does."""
    operate = (ROOT / "docs" / "operate.md").read_text(encoding="utf-8")
    rows = [row for row in table(section(operate, "Witnesses")) if row[0].startswith("FIDELOG_")]
    described = {row[0]: "" if row[1] == "none" else row[1] for row in rows}
    assert described == {setting.variable: setting.default for setting in witness_settings.SETTINGS}


def test_every_make_target_is_described() -> None:
    """The README lists exactly the targets that `make help` shows, and no page names one that is not there."""
    targets = set(re.findall(r"^([a-z-]+):.*## ", MAKEFILE, re.MULTILINE))
    described = {
        row[0].removeprefix("make ") for row in table(section(README, "Commands")) if row[0].startswith("make ")
    }
    assert targets
    assert described == targets
    for page in PAGES:
        named = set(re.findall(r"`make ([a-z][a-z-]*)", page.read_text(encoding="utf-8")))
        assert named <= targets, page.name


def test_every_folder_of_the_map_exists_and_every_package_is_on_it() -> None:
    """The map of folders leads somewhere and leaves no package out."""
    mapped = {row[0].rstrip("/") for row in table(section(README, "Folders"))}
    assert mapped
    assert [folder for folder in mapped if not (ROOT / folder).is_dir()] == []
    packages = {path.parent.name for path in ROOT.glob("[a-z]*/__init__.py")}
    assert packages <= mapped


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_heading_that_exist(page: Path) -> None:
    """A link within the project is never broken."""
    for source, target in links():
        if source == page:
            name, _, anchor = target.partition("#")
            file = (page.parent / name).resolve() if name else page
            assert file.exists(), target
            assert not anchor or anchor in headings(file), target


def test_every_route_is_mentioned() -> None:
    """Method and path of each route stand together in the README or in docs."""
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES if page.name != "CHANGELOG.md")
    found = routes()
    assert ("POST", "/clients") in found
    missing = [f"{method} {path}" for method, path in sorted(found) if f"`{method} {path}`" not in text]
    assert missing == []


def test_every_command_is_described() -> None:
    """Each command of the command line stands in the README or in docs/operate.md, and no other is named there."""
    text = README + (ROOT / "docs" / "operate.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`fidelog ([a-z][a-z-]*)", text))
    assert named == {*COMMANDS, *ALONE}


def test_the_columns_of_the_spec_are_those_of_the_table() -> None:
    """Name, type and null of every column, in the table's order."""
    described = [(row[0], row[1], row[2]) for row in table(section(RECORD, "Columns"))]
    assert described == columns_of_events()


def test_the_leaf_has_every_column_in_sorted_order() -> None:
    """The list of members and the example agree with the table, `tenant` standing for `tenant_id`."""
    members = sorted("tenant" if name == "tenant_id" else name for name, _, _ in columns_of_events())
    leaf = section(LEAF, "The leaf")
    blocks = re.findall(r"^```(?:json)?\n(.*?)^```", leaf, re.DOTALL | re.MULTILINE)
    assert [name.strip() for name in blocks[0].replace("\n", " ").split(",")] == members
    example = json.loads(blocks[1])
    assert list(example) == members
    assert json.dumps(example, separators=(",", ":")) == blocks[1].strip()


def test_the_program_of_the_spec_finds_all_vectors_true() -> None:
    """What the page offers to check the vectors with runs as it stands there."""
    found = re.search(r"^```python\n(.*?)^```", section(RECORD, "Vectors"), re.DOTALL | re.MULTILINE)
    assert found is not None
    done = subprocess.run([sys.executable, "-c", found[1]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "all vectors hold\n", "")


def test_every_decision_has_the_four_parts() -> None:
    """Context, decision, consequences, and what would change our mind; numbered without a gap."""
    pages = sorted((ROOT / "docs" / "adr").glob("*.md"))
    assert [page.name[:4] for page in pages] == [f"{number:04}" for number in range(1, len(pages) + 1)]
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert text.startswith(f"# {page.name[:4]}. ")
        for title in ("Context", "Decision", "Consequences", "What would change our mind"):
            assert section(text, title).strip(), page.name
