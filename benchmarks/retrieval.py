"""How well and how fast the right runbook is found: one line of JSON.

    python benchmarks/retrieval.py DIR                    # quality, beside BM25 and dense alone
    python benchmarks/retrieval.py DIR --leave-one-out    # the encoder trained without the project it is judged on
    python benchmarks/retrieval.py DIR --chunks 100000    # speed on a large library

`plain` is the encoder as it was published, `shipped` the one with our corrections. Those were learnt from these very
projects, so `shipped` flatters here; what it reaches on a project it never saw is printed by `--leave-one-out` (some
minutes). The weights of the fusion are fixed in all rows.
"""

import argparse
import json
import math
import os
import platform
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from knowledge.bulk import Bulk
from knowledge.embedder import SHIPPED, Embedder
from knowledge.query import names, understood
from knowledge.ranking import ask
from knowledge.vectors import Vectors


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]


def answers(path: Path) -> dict[str, set[str]]:
    out: dict[str, set[str]] = defaultdict(set)
    for line in path.read_text("utf-8").splitlines()[1:]:
        query, name, grade = line.split("\t")
        if int(grade) > 0:
            out[query].add(name)
    return out


def scores(ranked: list[str], right: set[str]) -> dict[str, float]:
    at = next((place for place, name in enumerate(ranked) if name in right), None)
    ideal = sum(1 / math.log2(place + 2) for place in range(min(len(right), 10)))
    gain = sum(1 / math.log2(place + 2) for place, name in enumerate(ranked[:10]) if name in right)
    return {"ndcg10": gain / ideal, "r1": float(at == 0), "r5": float(at is not None and at < 5)}


def mean(rows: list[dict[str, float]]) -> dict[str, float]:
    return {key: round(sum(row[key] for row in rows) / len(rows), 4) for key in rows[0]} | {"n": len(rows)}


def alone(bulk: Bulk, query: dict[str, Any], column: str) -> list[str]:
    """Runbooks by one score only: `words` is BM25 of the whole text, `dense` the cosine of the best chunk."""
    asked = ask(bulk.shelf, bulk.vectors, understood(query["text"]))[0]
    if column == "words":
        values = asked.words.body
    else:
        slots, rows = bulk.shelf.rows()
        values = np.full(len(bulk.shelf.files), -1.0)
        np.maximum.at(values, bulk.shelf.owners(slots), bulk.vectors.take(rows) @ asked.vector)
    return [bulk.shelf.files[slot] for slot in np.argsort(-values, kind="stable")[:10].tolist()]


def flavour(bulk: Bulk, folder: Path, name: str, only: str = "") -> dict[str, Any]:
    """All rows for one flavour: fused over all projects, fused with the alert's own first, BM25 alone, dense alone."""
    right = answers(folder / ("qrels_sections.tsv" if name == "intent" else "qrels.tsv"))
    kept = [
        q for q in lines(folder / f"queries_{name}.jsonl") if q["_id"] in right and (not only or q["source"] == only)
    ]
    rows: dict[str, list[dict[str, float]]] = defaultdict(list)
    took = []
    for query in kept:
        began = time.perf_counter()
        everywhere = bulk.ranked(query, everywhere=True)
        took.append(1e3 * (time.perf_counter() - began))
        rows["fused"].append(scores([name for name, _ in everywhere], right[query["_id"]]))
        rows["own_project_first"].append(scores([name for name, _ in bulk.ranked(query)], right[query["_id"]]))
        if name != "intent":
            rows["bm25_alone"].append(scores(alone(bulk, query, "words"), right[query["_id"]]))
            rows["dense_alone"].append(scores(alone(bulk, query, "dense"), right[query["_id"]]))
    times = {"p50_ms": round(float(np.median(took)), 1), "p95_ms": round(float(np.quantile(took, 0.95)), 1)}
    return {key: mean(value) for key, value in rows.items()} | times


def auroc(fits: list[float], not_: list[float]) -> float:
    order = np.concatenate([fits, not_])
    ranks = np.array([(order < value).sum() + ((order == value).sum() + 1) / 2 for value in fits])
    return round(float((ranks.sum() - len(fits) * (len(fits) + 1) / 2) / (len(fits) * len(not_))), 4)


def nothing_fits(bulk: Bulk, folder: Path, only: str = "") -> dict[str, float]:
    """Does the first score tell that the right runbook is missing (`hard`), or that its whole project is (`easy`)?"""
    right = answers(folder / "qrels.tsv")
    full, without, foreign = [], [], []
    for query in lines(folder / "queries_blind.jsonl"):
        if only and query["source"] != only:
            continue
        full.append(bulk.ranked(query, everywhere=True)[0][1])
        for gone, out in (
            (right[query["_id"]], without),
            ({f for f, s in bulk.source.items() if s == query["source"]}, foreign),
        ):
            out.append(_top_without(bulk, query, gone))
    return {"hard": auroc(full, without), "easy": auroc(full, foreign), "n": len(full)}


def _top_without(bulk: Bulk, query: dict[str, Any], gone: set[str]) -> float:
    kept = [(bulk.shelf.books[file], bulk.rows_of(file)) for file in gone if file in bulk.shelf.books]
    for book, _ in kept:
        bulk.shelf.drop(book.file)
    found = bulk.ranked(query, everywhere=True)
    for book, (parts, rows) in kept:
        bulk.shelf.put(book, parts, rows)
    return found[0][1] if found else 0.0


def quality(folder: Path, cache: Path, adapter: Path | None, only: str = "") -> dict[str, Any]:
    bulk = Bulk(folder / "corpus.jsonl", folder / "sections.jsonl", Vectors(cache, Embedder(adapter)))
    out = {name: flavour(bulk, folder, name, only) for name in ("blind", "named", "expr", "intent")}
    return out | {"nothing_fits_auroc": nothing_fits(bulk, folder, only)}


def trained_without(folder: Path, project: str, cache: Path) -> Path:
    """An adapter learnt from all projects but one, in the way the shipped one was learnt from all."""
    from knowledge.adapter import train
    from knowledge.embedder import plain
    from knowledge.shelf import texts

    bulk = Bulk(folder / "corpus.jsonl", folder / "sections.jsonl", None)
    books = [book for file, book in sorted(bulk.shelf.books.items()) if bulk.source[file] != project]
    number = {book.file: at for at, book in enumerate(books)}
    right = answers(folder / "qrels.tsv")
    pairs = []
    for query in lines(folder / "queries_named.jsonl"):
        if query["source"] != project:
            said = understood(query["text"].partition("\n")[2]).words
            parts = [said, names(query["expr"]), *[line for line in query["text"].split("\n")[1:2] if "=" not in line]]
            pairs += [(text, number[name]) for text in parts for name in right[query["_id"]]]
    arrays = train(plain().eval(), [texts(book)[1][1:] for book in books], pairs, epochs=2)
    path = cache / f"without-{project}.npz"
    np.savez_compressed(path, **arrays)
    return path


def speed(folder: Path, cache: Path, chunks: int) -> dict[str, Any]:
    """Milliseconds a query and seconds a changed file, on a library of real sections under many file names.

    Embedding a hundred thousand chunks takes minutes and says nothing about queries, so each vector is that of the
    real section with noise; queries are embedded for real, and the store is Chroma on disk.
    """
    from knowledge.index import Index
    from knowledge.search import Runbooks

    root, state = cache / "library", cache / "state"
    root.mkdir()
    vectors = Vectors(state, Embedder())
    count = _library(folder, root, vectors, chunks)
    library = Runbooks(root, vectors=vectors, index=Index(state / "chroma"))
    began = time.perf_counter()
    library.refresh()
    build = time.perf_counter() - began
    queries = lines(folder / "queries_blind.jsonl")
    library.find(queries[0]["text"])
    took, cpu = [], []
    for query in queries:
        began, worked = time.perf_counter(), time.process_time()
        library.find(query["text"])
        took.append(1e3 * (time.perf_counter() - began))
        cpu.append(1e3 * (time.process_time() - worked))
    file = root / "0" / "0.md"
    file.write_text(file.read_text("utf-8") + "\nOne more sentence about a cause.\n", "utf-8")
    changed = library.refresh()
    assert changed.changed == ("0/0.md",), changed
    lost = library.without_index
    library.close()
    return {
        "chunks": count, "files": len(library.shelf.books), "build_s": round(build, 1),
        "reindex_one_file_s": round(changed.seconds, 3),
        "p50_ms": round(float(np.median(took)), 1), "p95_ms": round(float(np.quantile(took, 0.95)), 1),
        "p50_cpu_ms": round(float(np.median(cpu)), 1), "p95_cpu_ms": round(float(np.quantile(cpu, 0.95)), 1),
        "index": lost or "chroma",
    }  # fmt: skip


def _library(folder: Path, root: Path, vectors: Vectors, chunks: int) -> int:
    """Writes files of real sections in new mixtures until there are enough chunks, and their vectors into the
    cache.
    """
    from knowledge.runbooks import parse
    from knowledge.shelf import texts

    draw = np.random.default_rng(0)
    docs = lines(folder / "corpus.jsonl")
    base = vectors.of([doc["title"] + "\n" + doc["text"][:600] for doc in docs])
    said, near = [], []
    count = number = 0
    while count < chunks:
        mother = draw.integers(0, len(docs), 2)
        first, second = docs[mother[0]], docs[mother[1]]
        bodies = [doc["text"].partition("\n")[2] for doc in (first, second)]
        text = "\n".join([f"# {first['title']} {number}", *bodies])
        place = root / str(number // 500) / f"{number}.md"
        place.parent.mkdir(exist_ok=True)
        place.write_text(text, "utf-8")
        book, _ = parse(place.relative_to(root).as_posix(), text.encode())
        parts, embedded = texts(book)
        said += embedded
        near += [mother[0]] * len(embedded)
        count, number = count + len(parts), number + 1
    for at in range(0, len(said), 10_000):
        rows = base[near[at : at + 10_000]]
        vectors.remember(said[at : at + 10_000], rows + 0.04 * draw.standard_normal(rows.shape))
    return count


def main() -> None:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "folder", type=Path, help="a folder with corpus.jsonl, sections.jsonl, queries_*.jsonl, qrels*.tsv"
    )
    parser.add_argument(
        "--leave-one-out", action="store_true", help="train the encoder without each project, judge it there"
    )
    parser.add_argument("--chunks", type=int, default=0, help="measure speed on a library of so many chunks instead")
    given = parser.parse_args()
    out: dict[str, Any] = {
        "benchmark": "retrieval",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, one thread used",
    }
    with tempfile.TemporaryDirectory() as scratch:
        cache = Path(scratch)
        if given.chunks:
            out["speed"] = speed(given.folder, cache, given.chunks)
        elif given.leave_one_out:
            for project in sorted({query["source"] for query in lines(given.folder / "queries_blind.jsonl")}):
                out[project] = quality(given.folder, cache, trained_without(given.folder, project, cache), project)
        else:
            out["plain"] = quality(given.folder, cache, None)
            out["shipped"] = quality(given.folder, cache, SHIPPED)
    print(json.dumps(out))


if __name__ == "__main__":
    main()
