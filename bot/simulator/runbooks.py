"""The runbooks of an episode: one for each type and near misses among which a search has to choose."""

from bot.simulator.catalogue import CATALOGUE, TYPES
from bot.simulator.rng import hex_id, stream

_TEXTS = {
    "D1": (
        "Upstream call returns a default",
        "A constant such as -1 replaces real values while nothing errors.",
        "the most frequent value of the column rose and nulls did not",
    ),
    "D2": (
        "Column dropped or renamed",
        "A producer changed its columns; consumers read nulls or stop.",
        "the schema fingerprint changed just before nulls or age rose",
    ),
    "D3": (
        "Unit or scale of a column changed",
        "Values are right but in another unit.",
        "mean and spread moved by the same factor and nulls are flat",
    ),
    "D4": (
        "Client experiment logs a field differently",
        "One arm of an experiment writes the field in another way.",
        "the move is confined to the sessions of one slice",
    ),
    "D5": (
        "Duplicated rows",
        "The loader wrote rows more than once.",
        "the share of repeated keys rose with the volume",
    ),
    "D6": (
        "Late or partial partition",
        "Part of a partition has not arrived.",
        "rows fell for some slices and age rose",
    ),
    "D8": (
        "Categories re-encoded",
        "New values that the model has never seen.",
        "unseen values and cardinality rose together",
    ),
    "F1": (
        "Feature job stuck",
        "The job has not completed; the view serves old values.",
        "age of the view grows in step with time",
    ),
    "F2": (
        "Online store misses",
        "Lookups find nothing and defaults are served.",
        "misses rose and the offline view is healthy",
    ),
    "F3": (
        "Training-serving skew",
        "A transform changed on one path only.",
        "online and offline means part, offline is steady",
    ),
    "F6": (
        "Feature file over its limit",
        "The file doubled and consumers reject it.",
        "rows per file doubled as errors began to flap",
    ),
    "M1": (
        "Bad model promoted",
        "The version was trained on partial data.",
        "the version changed and its training set is small",
    ),
    "M2": (
        "Wrong artefact or threshold file",
        "The service decides with another file.",
        "decisions stepped, the model's scores did not",
    ),
    "M3": (
        "Retraining silently dead",
        "No new version for weeks; calibration drifts.",
        "the age exceeds three training periods",
    ),
    "M4": ("Decision threshold changed", "The threshold moved; the scores did not.", "scores and quality are flat"),
    "S1": ("Numeric regression on a pool", "One runtime computes differently.", "pools disagree while inputs agree"),
    "S3": (
        "Overload falls back",
        "Latency exceeds its budget and the fallback answers.",
        "tail latency rose before fallbacks did",
    ),
    "S4": ("Half-finished rollout", "Two builds serve at once.", "the minority build's share is stuck"),
    "L1": (
        "Labels late or partial",
        "Quality looks worse because outcomes are missing.",
        "completeness of outcomes fell",
    ),
    "L2": (
        "Label definition changed",
        "Outcomes mean something else now.",
        "the mean of outcomes stepped and business is flat",
    ),
    "W1": (
        "Population changed",
        "A new market or product grows.",
        "many features drift and quality per slice is equal",
    ),
    "W2": (
        "Concept changed",
        "The same inputs now lead to other outcomes.",
        "inputs and scores are flat and quality falls",
    ),
    "W3": ("Season or holiday", "The same happened last period.", "last period shows the same pattern"),
    "W4": (
        "Campaign shifts the mix",
        "Slices change weight, nothing inside them moves.",
        "each slice is flat by itself",
    ),
    "O1": (
        "Monitor or its reference broken",
        "The monitor moved, the data did not.",
        "the reference was renewed and raw counts are flat",
    ),
}
_NEAR = (
    "Pod crash loop",
    "Disk full",
    "Certificate expired",
    "Quota exhausted",
    "DNS failure",
    "Broker leader election",
    "Queue backlog",
    "Slow database query",
    "Lock contention",
    "Node not ready",
    "Out of memory",
    "Image pull failure",
    "Config map missing",
    "Rate limit of a partner",
    "Backup failed",
    "Replica lag",
    "Cache eviction storm",
    "Load balancer unhealthy",
    "Clock skew on hosts",
    "Token expired",
    "Log volume surge",
    "Cost alarm",
    "Dashboard empty",
    "Airflow scheduler down",
    "Warehouse suspended",
    "Spot instances reclaimed",
    "Feature flag service down",
    "Schema registry down",
    "Artifact store slow",
    "GPU falls off the bus",
)


def library(seed: int) -> dict[str, dict[str, str]]:
    """Runbooks by id: title and text, 25 for the types and 30 near misses; `type` is kept by `runbook_of` alone."""
    random = stream(seed, "runbooks")
    books: dict[str, dict[str, str]] = {}

    def fresh() -> str:
        name = f"RB-{hex_id(random, 4).upper()}"
        return fresh() if name in books else name

    for key in CATALOGUE:
        title, meaning, check = _TEXTS[key]
        books[fresh()] = {
            "title": title,
            "text": (
                f"{meaning} Verify first that {check}. If not so, this page does not apply. "
                f"Usual remedy: {TYPES[key].best[0].replace('_', ' ').lower()}."
            ),
        }
    for title in _NEAR:
        books[fresh()] = {
            "title": title,
            "text": (
                f"{title}: verify the platform's own alarms first. "
                "If hosts and network are healthy, this page does not apply."
            ),
        }
    return books


def runbook_of(seed: int, key: str) -> str:
    """The id of a type's runbook in the library of this seed; empty for types outside the catalogue."""
    if key not in _TEXTS:
        return ""
    title = _TEXTS[key][0]
    return next(name for name, book in library(seed).items() if book["title"] == title)


def look_up(books: dict[str, dict[str, str]], words: str, top: int = 5) -> list[dict]:
    """The runbooks sharing most words with the question, each with the share of the question's words it holds."""
    asked = {word.strip(".,:").lower() for word in words.split() if len(word) > 3}
    rows = []
    for name, book in books.items():
        text = {word.strip(".,:").lower() for word in f"{book['title']} {book['text']}".split()}
        rows.append({"row_id": name, **book, "score": round(len(asked & text) / max(1, len(asked)), 3)})
    return sorted(rows, key=lambda row: (-row["score"], row["row_id"]))[:top]
