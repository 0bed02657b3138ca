"""The article's endpoints and the output of its test script, to the letter."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.running import RunningApi

SEED = Path(__file__).resolve().parents[2].parent / "shared" / "seed"

EXPECTED = """\
{'client_id': 'client-001', 'full_name': 'Amina Patel', 'risk_profile': 'moderate'}
{'task_id': '550e8400-e29b-41d4-a716-446655440000', 'status': 'pending'}
{'client_id': 'client-001', 'full_name': 'Amina Patel', 'risk_profile': 'moderate'}
"""


def article_script() -> str:
    """The script under "Testing the Integration", as the page has it."""
    pages = sorted(SEED.glob("*.txt")) if SEED.is_dir() else []
    if not pages:
        pytest.skip(f"the article is not in {SEED}")
    section = pages[0].read_text().split("Then verify both write and read paths:")[1]
    return section.split("Expected output:")[0].strip() + "\n"


def test_the_articles_script_prints_its_expected_output_twice_in_a_row(api: RunningApi) -> None:
    """The script runs unchanged but for the port; the second run changes nothing in what it prints."""
    script = article_script().replace("http://localhost:8000", api.url)
    for _ in range(2):
        run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
        assert (run.stdout, run.stderr) == (EXPECTED, "")
