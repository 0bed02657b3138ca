"""A read model: one row a stream, the fold of its events written as columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import orjson

from domain.decider import Fold, Recorded
from eventstore import arrays
from eventstore.rows import utc
from eventstore.statements import statement
from eventstore.writer.engine import Folded

Column = tuple[str, str]
"""A column's name and kind: text, uuid, int8, json (a sealed value) or timestamptz."""

_ENDING: tuple[Column, ...] = (("version", "int8"), ("position", "int8"))


def _json_array(values: Sequence[Any]) -> bytes:
    # orjson writes each text into room for a kilobyte: keeping them makes the heap grow and shrink with every batch.
    texts = (None if value is None else orjson.dumps(value, option=orjson.OPT_SORT_KEYS) for value in values)
    return arrays.streamed_array("json", texts)


_ARRAYS: dict[str, Callable[[Sequence[Any]], bytes]] = {
    "text": arrays.text_array,
    "uuid": arrays.uuid_array,
    "int8": arrays.int8_array,
    "json": _json_array,
    "timestamptz": arrays.timestamptz_array,
}
_READ: dict[str, Callable[[Any], Any]] = {
    "json": lambda text: None if text is None else orjson.loads(text),
    "timestamptz": utc,
}


class ReadModel:
    """Storage of one category's states in `table`. Statements: load_, insert_ and update_ and the table's name; for
    replay range_, delete_ and newest_fold_.

    `columns` are those of the state, the id first; every row ends with version, position and fold_version. `values`
    gives a state's columns in that order, `state` makes a state of them: each is the other's inverse.
    """

    def __init__(
        self,
        table: str,
        fold: Fold[Any],
        columns: Sequence[Column],
        values: Callable[[Any], Sequence[Any]],
        state: Callable[[Sequence[Any]], Any],
    ) -> None:
        self.table = table
        self.fold = fold
        self.category = fold.category
        self.fold_version = fold.version
        self.columns = (*columns, *_ENDING)
        self.names = (*(name for name, _ in self.columns), "fold_version")
        self.load = statement("projections", f"load_{table}")
        self.insert = statement("projections", f"insert_{table}")
        self.update = statement("projections", f"update_{table}")
        self.range = statement("projections", f"range_{table}")
        self.delete = statement("projections", f"delete_{table}")
        self.newest_fold = statement("projections", f"newest_fold_{table}")
        self._arrays = [_ARRAYS[kind] for _, kind in self.columns]
        self._read = [(at, _READ[kind]) for at, (_, kind) in enumerate(self.columns) if kind in _READ]
        self._sealed = [at for at, (_, kind) in enumerate(self.columns) if kind == "json"]
        self._values = values
        self._state = state

    def row(self, row: Sequence[Any]) -> tuple[str, Folded]:
        """A loaded row (columns in order, json as text, ids as text) as (stream, folded state)."""
        *state, version, position, fold_version = self.read(row)
        folded = Folded(self._state(state), version, position, stored=True, fold_version=fold_version)
        return f"{self.category}-{row[0]}", folded

    def fold_all(self, events: Iterable[Recorded[Any]]) -> list[Folded]:
        """States of the streams whose events these are, each stream's together and from its first on."""
        folded: list[Folded] = []
        for recorded in events:
            if recorded.version == 1:
                folded.append(Folded(None, 0, 0, stored=False, fold_version=self.fold_version))
            now = folded[-1]
            now.state = self.fold.evolve(now.state, recorded)
            now.version, now.position = recorded.version, recorded.position
        return folded

    def read(self, row: Sequence[Any]) -> list[Any]:
        """A loaded row's values, comparable with `values`."""
        values = list(row)
        for at, read in self._read:
            values[at] = read(values[at])
        return values

    def values(self, folded: Folded) -> list[Any]:
        """What the row of a folded state holds, by `names`."""
        return [*self._values(folded.state), folded.version, folded.position, self.fold_version]

    def stored(self, folded: Folded) -> tuple[Any, ...]:
        """`values` as `range` gives the row that holds them: json as the bytes of its text."""
        values = self.values(folded)
        for at in self._sealed:
            if values[at] is not None:
                values[at] = orjson.dumps(values[at], option=orjson.OPT_SORT_KEYS)
        return tuple(values)

    def parameters(self, tenant_id: str, rows: Sequence[tuple[str, Folded]]) -> Sequence[bytes | None]:
        """States as the parameters of `insert` and `update`."""
        values = zip(*[(*self._values(f.state), f.version, f.position) for _, f in rows], strict=True)
        columns = [array(column) for array, column in zip(self._arrays, values, strict=True)]
        return (tenant_id.encode(), *columns, arrays.int8(self.fold_version), arrays.int8(len(rows)))
