"""Leaves and roots from rows, after docs/spec/leaf.md, with the standard library alone: python3 leaf.py VECTORS"""

import hashlib
import json
import sys
from datetime import UTC, datetime
from pathlib import Path


def leaf(row):
    """The leaf of a row: a dict of its columns, each as PostgreSQL writes it as text, numbers and arrays as such."""
    members = {}
    for column in row:
        value = row[column]
        if column in {"idempotency_key", "request_hash"} and value is not None:
            value = value.removeprefix("\\x")
        if column in {"effective_at", "recorded_at"} and value is not None:
            value = f"{datetime.fromisoformat(value).astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z".rjust(27, "0")
        text = value if column == "data" else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        members["tenant" if column == "tenant_id" else column] = text
    return ("{" + ",".join(f'"{name}":{members[name]}' for name in sorted(members)) + "}").encode()


def root(leaves):
    """The root of the Merkle tree over leaves."""
    if len(leaves) < 2:
        return hashlib.sha256(b"\x00" + leaves[0] if leaves else b"").digest()
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + root(leaves[:split]) + root(leaves[split:])).digest()


if __name__ == "__main__":
    vectors = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    leaves = [leaf(one["row"]) for one in vectors["leaves"]]
    assert [one.decode() for one in leaves] == [one["leaf"] for one in vectors["leaves"]]
    assert [root([one]).hex() for one in leaves] == [one["leaf_hash"] for one in vectors["leaves"]]
    assert [root(leaves[:size]).hex() for size in range(len(leaves) + 1)] == vectors["roots"]
    print("all leaves hold")
