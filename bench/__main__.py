"""`make bench`, `make bench-quick`, `make bench-against`: measure, print, write the results."""

from __future__ import annotations

import sys
from contextlib import nullcontext

from bench import page, results
from bench.duels import duels
from bench.options import Chosen, chosen
from bench.results import Results
from bench.run import ended_in_order, run
from bench.self_check import findings, twin
from bench.servers import ROOT
from bench.terminal import show
from bench.trees import checked_out, this_tree
from bench.works import WORKS

FOLDER = ROOT / ".bench"


def measured(asked: Chosen) -> Results:
    """Measure what was asked for. Raises what bench.run.FAULTS names."""
    if asked.name in {"against", "self-check"}:
        with checked_out(asked.revision) if asked.revision else nullcontext(twin()) as other:
            table = duels((this_tree(), other))
            return run({name: table[name] for name in asked.works}, asked.plan, asked.command)
    return run({name: WORKS[name] for name in asked.works}, asked.plan, asked.command, asked.logs)


def main() -> int:
    """Run; the exit status."""
    asked = chosen(sys.argv[1:])
    with ended_in_order():
        if asked.page_only:
            page.write(results.read(FOLDER / "full.json"))
            print(f"written: {page.PAGE}")
            return 0
        found = measured(asked)
    show(found)
    if asked.name == "self-check":
        print(*findings(found), sep="\n")
    path = FOLDER / f"{asked.name}.json"
    found.write(path)
    print(f"results: {path}")
    if asked.is_whole:
        page.write(found)
        print(f"written: {page.PAGE}")
    return 1 if found.failed else 0


if __name__ == "__main__":
    sys.exit(main())
