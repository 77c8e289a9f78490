"""Tables as files hold them: Parquet, CSV, NDJSON, as Arrow tables. Mixed columns are read, not refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from detectors.baseline import Unfit

FORMATS = {".parquet": "parquet", ".pq": "parquet", ".csv": "csv", ".tsv": "csv", ".ndjson": "json", ".jsonl": "json"}
NULLS = ["", "#N/A", "#NA", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null", "none", "-nan", "-NaN", "<NA>"]


class Loaded(Struct):
    """`spelt` are columns of texts in which a text that spells a number stands for that number."""

    table: Any
    spelt: set[str]


def load(path: Path) -> Loaded:
    """The Arrow table at `path`; columns that hold several types come as texts.

    Raises Unfit, naming the file and the reason, when it is not there, is empty, or cannot be read.
    """
    import pyarrow as pa
    from pyarrow import parquet

    kind = FORMATS.get(path.suffix.lower())
    if path.is_dir():
        raise Unfit(f"{path}: is a folder; give one file that ends in {', '.join(FORMATS)}")
    if kind is None:
        raise Unfit(f"{path}: unknown kind of file; give one that ends in {', '.join(FORMATS)}")
    if not path.exists():
        raise Unfit(f"{path}: cannot be read: there is no such file; check the path")
    if not path.stat().st_size:
        raise Unfit(f"{path}: cannot be read as {kind}: the file is empty")
    try:
        if kind == "parquet":
            loaded = Loaded(flat(parquet.read_table(path)), set())
        else:
            loaded = _csv(path) if kind == "csv" else _json(path)
    except (pa.ArrowException, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise Unfit(f"{path}: cannot be read as {kind}: {reason.splitlines()[0][:300]}; write the file anew") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Unfit(f"{path}: cannot be read as {kind}: {error}") from None
    names = loaded.table.column_names
    if not loaded.table.num_rows:
        raise Unfit(f"{path}: the file holds no rows")
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise Unfit(f"{path}: the column {twice[0]!r} is there more than once; rename one of them")
    return loaded


def _csv(path: Path) -> Loaded:
    import pyarrow as pa

    try:
        table = _parse(path, {}, False)
    except pa.ArrowInvalid as error:
        # A column that changes its type after the first megabyte, or a line break within quotes.
        if "conversion error" in str(error):
            names = _parse(path, {}, False, head=True)
            table = _parse(path, dict.fromkeys(names, pa.string()), True)
            table = pa.table({name: _typed(table[name]) for name in names})
        else:
            table = _parse(path, {}, True)
    return Loaded(table, {field.name for field in table.schema if pa.types.is_string(field.type)})


def _parse(path: Path, types: dict[str, Any], breaks: bool, head: bool = False) -> Any:
    """The CSV file, or with `head` the names of its columns. With `breaks` a quoted value may hold line breaks."""
    from pyarrow import csv

    parsed = csv.ParseOptions(delimiter=_delimiter(path), newlines_in_values=breaks)
    told = csv.ConvertOptions(strings_can_be_null=True, null_values=NULLS, column_types=types)
    if head:
        with csv.open_csv(path, parse_options=parsed) as reader:
            return reader.schema.names
    return csv.read_csv(path, parse_options=parsed, convert_options=told)


def _delimiter(path: Path) -> str:
    """Tab for .tsv; else whichever of comma, semicolon and tab the first line holds most of."""
    if path.suffix.lower() == ".tsv":
        return "\t"
    with path.open("rb") as file:
        first = file.readline(100_000)
    return max(",;\t", key=lambda mark: first.count(mark.encode()))


def _typed(column: Any) -> Any:
    import pyarrow as pa

    for kind in (pa.int64(), pa.float64(), pa.bool_(), pa.timestamp("us"), pa.timestamp("us", "UTC")):
        try:
            return column.cast(kind)
        except pa.ArrowInvalid:
            continue
    return column


def _json(path: Path) -> Loaded:
    import pyarrow as pa
    from pyarrow import json

    try:
        return Loaded(flat(json.read_json(path)), set())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        rows = _lines(path)
    columns: dict[str, Any] = {}
    spelt: set[str] = set()
    for name in dict.fromkeys(name for row in rows for name in row):
        values = [row.get(name) for row in rows]
        try:
            columns[name] = pa.array(values)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
            spelt.add(name)
            columns[name] = pa.array([_spelt(v) for v in values])
    return Loaded(pa.table(columns), spelt)


def _spelt(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else msgspec.json.encode(value).decode()


def _lines(path: Path) -> list[dict[str, Any]]:
    """Every line as an object, its `features` beside the rest. Raises Unfit naming the first line that is none."""
    rows = []
    decoder = msgspec.json.Decoder(dict[str, Any])
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = decoder.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise Unfit(f"{path}: cannot be read as json: line {number}: {error}; write one object a line") from None
        inner = row.pop("features", None)
        rows.append(row | inner if isinstance(inner, dict) else row)
    return rows


def flat(table: Any) -> Any:
    """A struct column `features` (inference events as they are sent) spread into columns of its own."""
    import pyarrow.types as kinds

    if "features" in table.column_names and kinds.is_struct(table.schema.field("features").type):
        inner = table["features"].combine_chunks()
        table = table.drop_columns(["features"])
        for field, column in zip(inner.type, inner.flatten(), strict=True):
            table = table.append_column(field.name, column)
    return table
