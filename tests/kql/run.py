#!/usr/bin/env python3
"""Checks the queries of deploy/kql against rows that the lab has recorded, and runs those that have expected counts.

    run.py --rows ROWS.ndjson --folder FOLDER [--write]

FOLDER holds the language service (npm) and is where the schema goes. The schema is read off the rows: a table for each
category, a column for each key, its type from its values. Tables that no scenario of the lab fills come from the fixtures of
tests/golden. `--write` rewrites expected.json.
"""

import argparse
import json
import re
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import duckdb_kql

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
QUERIES = ROOT / "deploy" / "kql"
EXPECTED = HERE / "expected.json"

# Rows that no run of the lab leaves behind, and what a query makes of them.
CASES = HERE / "cases.json"

# Rows of every table in both forms. Of the older form only the sentences: the rest is the same.
FIXTURES = [ROOT / "tests" / "golden" / name for name in ("rows-azure.ndjson", "tables-azure.ndjson")]
SENTENCES = [ROOT / "tests" / "golden" / name for name in ("rows-diagnostics.ndjson", "tables-diagnostics.ndjson")]

# Columns that Log Analytics adds to every table (MicrosoftDocs/azure-reference-other, azure-monitor-ref/tables).
STANDARD = {
    "TimeGenerated": "datetime",
    "TenantId": "string",
    "SourceSystem": "string",
    "Type": "string",
    "_ResourceId": "string",
    "_SubscriptionId": "string",
    "_BilledSize": "real",
    "_IsBillable": "string",
}

# The one category whose table has another name.
TABLE_OF = {"AZFWFqdnResolveFailure": "AZFWInternalFqdnResolutionFailure"}

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")

# A column that a real Azure Firewall's tables do not have.
OPTIONAL = re.compile(r'column_ifexists\("(\w+)", dynamic\(null\)\)')

SQL = {
    "string": "VARCHAR",
    "int": "INTEGER",
    "long": "BIGINT",
    "real": "DOUBLE",
    "bool": "BOOLEAN",
    "datetime": "TIMESTAMP",
    "dynamic": "JSON",
}

# Columns of results that count: the same in every run of the lab.
COUNTS = {"Attempts", "Flows", "Failures", "Denied", "Allowed", "Refused", "Hits", "Decisions", "Tunnels", "Names", "Destinations"}

# What must not pass, each with what the language service has to say of it.
BROKEN = {
    "a column that there is not": ('AZFWApplicationRule | where Actoin == "Deny"', "Actoin"),
    "a table that there is not": ("AZFWAplicationRule | take 1", "AZFWAplicationRule"),
    "a column of another table": ("AZFWNetworkRule | project Fqdn", "Fqdn"),
    "text where a number belongs": ('EgretFlow | where BytesSent + "1" > 5', "type"),
    "a function that there is not": ("EgretFlow | summarize counts()", "counts"),
    "an operator that there is not": ("EgretFlow | wherre BytesSent > 5", ""),
    "a pipe to nowhere": ("EgretFlow |", ""),
}


def read(path):
    return [json.loads(line) for line in Path(path).read_text().splitlines() if line]


def record(row):
    """(table, columns) of a row as Log Analytics keeps it."""
    added = {"TimeGenerated": row["time"], "_ResourceId": row["resourceId"].lower(), "SourceSystem": "Azure"}
    if "operationName" in row:
        legacy = {"Category": row["category"], "OperationName": row["operationName"], "ResourceType": "AZUREFIREWALLS"}
        return "AzureDiagnostics", {**legacy, "msg_s": row["properties"]["msg"], **added, "Type": "AzureDiagnostics"}
    table = TABLE_OF.get(row["category"], row["category"])
    return table, {**row["properties"], **added, "Type": table}


def type_of(table, column, values):
    if column in STANDARD:
        return STANDARD[column]
    kinds = {type(value) for value in values}
    if kinds == {str}:
        times = all(TIME.fullmatch(value) for value in values)
        return "datetime" if times else "string"
    if kinds == {bool}:
        return "bool"
    if kinds == {int}:
        return "int" if table.startswith("AZFW") else "long"
    if kinds <= {int, float}:
        return "real"
    if kinds <= {dict, list}:
        return "dynamic"
    raise SystemExit(f"{table}.{column} has values of several types: {kinds}")


def fixtures():
    yield from (row for path in FIXTURES for row in read(path))
    yield from (row for path in SENTENCES for row in read(path) if "operationName" in row)


def tables_of(rows):
    tables = {}
    for row in rows:
        name, columns = record(row)
        tables.setdefault(name, []).append(columns)
    return tables


def schema_of(tables):
    schema = {}
    for name, rows in sorted(tables.items()):
        seen = {}
        for row in rows:
            for column, value in row.items():
                seen.setdefault(column, []).append(value)
        types = {column: type_of(name, column, values) for column, values in seen.items()}
        schema[name] = {**types, **STANDARD}
    return schema


def check(schema, folder, queries, text=None):
    command = ["node", HERE / "check.mjs", schema, folder, *queries]
    return subprocess.run(command, input=text, text=True, capture_output=True, timeout=120)


def bites(schema, folder):
    """Each broken query is refused, for its own fault."""
    for what, (query, said) in BROKEN.items():
        done = check(schema, folder, ["-"], query)
        if done.returncode != 1 or said not in done.stderr:
            raise SystemExit(f"{what} was not noticed: {query}\n{done.stdout}{done.stderr}")


def load(tables, schema):
    connection = duckdb_kql.connect()
    for name, types in schema.items():
        columns = ", ".join(f'"{column}" {SQL[kind]}' for column, kind in types.items())
        connection.execute(f'CREATE TABLE "{name}" ({columns})')
        marks = ", ".join("?" for _ in types)
        rows = [[cell(row.get(column), kind) for column, kind in types.items()] for row in tables.get(name, [])]
        if rows:
            connection.executemany(f'INSERT INTO "{name}" VALUES ({marks})', rows)
    return connection


def cell(value, kind):
    if value is None:
        return None
    if kind == "dynamic":
        return json.dumps(value)
    return value.removesuffix("Z").removesuffix("+00:00") if kind == "datetime" else value


def runnable(query):
    """A query without what duckdb_kql does not know: every column is there."""
    return OPTIONAL.sub(r"\1", query)


def counted(connection, query):
    """How many rows a query gives, and the sums of the columns that count."""
    found = duckdb_kql.query(connection, runnable(query))
    names, rows = found.columns, found.fetchall()
    counts = [(i, name) for i, name in enumerate(names) if name in COUNTS and all(isinstance(row[i], int) for row in rows)]
    return {"rows": len(rows), **{name: sum(row[i] for row in rows) for i, name in counts}}


def written(rows, now):
    """The rows of a case: `times` over, `hours_ago`, in each of so many hours, or to each of `ports` (first, last)."""
    for row in rows:
        columns = dict(row)
        times, hours = columns.pop("times", 1), columns.pop("every_hour_of", None)
        ago = [columns.pop("hours_ago", 0.01)] if hours is None else range(1, hours)
        first, last = columns.pop("ports", (None, None))
        ports = [{}] if first is None else [{"DestinationPort": port} for port in range(first, last + 1)]
        for hour in ago:
            columns["TimeGenerated"] = (now - timedelta(hours=hour)).isoformat()
            yield from ({**columns, **port} for port in ports for _ in range(times))


def played(case, schema, now):
    """What a query gives for the rows of a case, in the columns that are expected."""
    tables = {name: list(written(rows, now)) for name, rows in case["rows"].items()}
    text = (QUERIES / f"{case['query']}.kql").read_text()
    found = duckdb_kql.query(load(tables, schema), runnable(text))
    names, columns = found.columns, case["gives"][0]
    return [{column: row[names.index(column)] for column in columns} for row in found.fetchall()]


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--rows", required=True)
    arguments.add_argument("--folder", required=True)
    arguments.add_argument("--write", action="store_true")
    given = arguments.parse_args()

    recorded = tables_of(read(given.rows))
    others = {name: rows for name, rows in tables_of(fixtures()).items() if name not in recorded}
    schema = schema_of({**others, **recorded})
    file = Path(given.folder) / "schema.json"
    file.write_text(json.dumps(schema, indent=2))
    print(f"schema: {len(recorded)} tables from recorded rows ({', '.join(sorted(recorded))}), {len(others)} from fixtures")

    queries = sorted(QUERIES.glob("*.kql"))
    for query in queries:
        head = query.read_text().splitlines()[:2]
        if not all(line.startswith("// ") for line in head):
            raise SystemExit(f"{query.name}: two lines of comment come first: what it answers, and when to use it")
    done = check(file, given.folder, queries)
    print(done.stdout + done.stderr, end="")
    if done.returncode != 0:
        raise SystemExit("queries do not fit the rows")
    bites(file, given.folder)
    print(f"{len(BROKEN)} broken queries are refused")

    now = datetime.now(timezone.utc).isoformat()
    for row in (row for rows in others.values() for row in rows):
        row["TimeGenerated"] = now
    connection = load({**others, **recorded}, schema)
    expected = json.loads(EXPECTED.read_text())
    found = {name: counted(connection, (QUERIES / f"{name}.kql").read_text()) for name in expected}
    if given.write:
        EXPECTED.write_text(json.dumps(found, indent=2) + "\n")
    wrong = [f"{name}: {found[name]}, expected {expected[name]}" for name in expected if found[name] != expected[name]]
    cases, unlike = json.loads(CASES.read_text()), []
    for case in cases:
        gives = played(case, schema, datetime.now(timezone.utc))
        key = lambda row: json.dumps(row, sort_keys=True, default=str)
        if sorted(gives, key=key) != sorted(case["gives"], key=key):
            unlike.append(f"{case['query']}, {case['why']}: {gives}, expected {case['gives']}")
    print(f"{len(cases)} cases of rows written by hand, {len(unlike)} otherwise than expected")
    rows = sum(map(len, recorded.values()))
    print(f"{len(found)} queries run over {rows} recorded rows and the fixtures, {len(wrong)} otherwise than expected")
    if given.write:
        wrong = []
    if wrong or unlike:
        raise SystemExit("\n".join(wrong + unlike))


if __name__ == "__main__":
    sys.exit(main())
