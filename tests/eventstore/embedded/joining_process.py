"""A process that uses an EmbeddedServer as its standard input tells it; run by the tests.

Arguments: data folder, user id to become (or -). Each input line is a JSON list [method, arguments...]; each is
acknowledged with a line "begun" and answered with a line {"value": ...} or {"error": ...}.
"""

import json
import os
import sys
from pathlib import Path

import psycopg

from eventstore.embedded import EmbeddedServer, EmbeddedServerError


def main() -> None:
    """Obey standard input until it ends."""
    data_dir, uid = sys.argv[1:]
    if uid != "-":
        # After the imports, because that user may not be allowed to read the interpreter's own files.
        os.setgroups([])
        os.setgid(int(uid))
        os.setuid(int(uid))
    server = EmbeddedServer(Path(data_dir), notice=lambda line: print(line, file=sys.stderr, flush=True))
    for line in sys.stdin:
        print("begun", flush=True)
        method, *arguments = json.loads(line)
        try:
            value = query(server, *arguments) if method == "query" else getattr(server, method)(*arguments)
            answer = {"value": value}
        except EmbeddedServerError as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), flush=True)


def query(server: EmbeddedServer, statement: str) -> object:
    """Return the first value the statement yields."""
    with psycopg.connect(server.conninfo("postgres", "postgres"), autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        row = cursor.fetchone() if cursor.description else None
    return row[0] if row else None


if __name__ == "__main__":
    main()
