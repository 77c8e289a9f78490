"""The lineage of flight-delay as OpenLineage RunEvents (spec 2-0-2), one per message on `lineage.acme`.

    noaa.observations -> ingest_weather -> weather.hourly -> weather_features -> features.weather
    flights.schedule -> flight_features -> features.flight;  planes.registry -> plane_features -> features.plane
    features.*, flights.landed -> train_flight_delay -> flight-delay
    flight-delay, features.* -> serve_flight_delay -> flight-delay.predictions
    flight-delay.predictions -> gate-planner, rebooking-assistant -> rebooking.offers -> passenger-sms

The standard knows jobs, runs and datasets. This is the convention by which it holds models and services too; every
facet is the standard's own:

* a **model** is a dataset whose `datasetType` facet says MODEL, named as on `inference.<tenant>.<model>`; its
  `version` facet is the model's version, its `columnLineage` names the column each of its features is made of, and
  its tags `importance:<feature>` (0 to 1) how much each counts;
* a **service** (an endpoint, a consumer) is a job with the tag `kind` = `service` and `processingType` SERVICE in its
  `jobType` facet; a training job has the tag `kind` = `training_job`;
* a **feature** is a column: `columnLineage` on features.weather leads `temp` to `temp` of weather.hourly;
* an **owner** is `ownership.owners[].name`, such as `team:flight-ml`, on jobs and datasets;
* a **tier** (1 hurts customers at once, 3 nobody notices before Monday) is the tag `tier`;
* what a job is for is `documentation`; which code it runs is `sourceCodeLocation.version`.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bot.demo.features import CATEGORIES, FEATURES, JOBS
from bot.demo.flights import OBSERVED
from bot.demo.model import MODEL

NAMESPACE = "acme"
PRODUCER = "https://git.acme.example/flight-delay"
_SPEC = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
_FACETS = "https://openlineage.io/spec/facets"
_PREDICTIONS = f"{MODEL}.predictions"
_HOUR = 3600


@dataclass(frozen=True)
class Job:
    """A job of the team's: every how many hours it runs (0: a service, always), what it reads, writes and is for."""

    name: str
    hours: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    owner: str
    tier: str
    about: str


BATCH = (
    Job("ingest_weather", 6, ("noaa.observations",), ("weather.hourly",), "team:data-platform", "2",
        "Copies the hourly station reports of EWR, JFK and LGA."),
    Job("weather_features", 6, ("weather.hourly",), ("features.weather",), "team:flight-ml", "1",
        "The newest report of the airport, as flight-delay's weather features."),
    Job("flight_features", 24, ("flights.schedule",), ("features.flight",), "team:flight-ml", "2",
        "Carrier, airports, distance, hour and weekday of every scheduled flight."),
    Job("plane_features", 24, ("planes.registry",), ("features.plane",), "team:flight-ml", "3",
        "Age and seats of every plane."),
)  # fmt: skip
_FEATURED = ("features.weather", "features.flight", "features.plane")
TRAINING = Job("train_flight_delay", 0, (*_FEATURED, "flights.landed"), (MODEL,), "team:flight-ml", "2",
               "Learns from two months of landed flights which will be more than 30 minutes late.")  # fmt: skip
SERVING = Job("serve_flight_delay", 0, (MODEL, *_FEATURED), (_PREDICTIONS,), "team:flight-ml", "1",
              "Predicts every departure two hours ahead.")  # fmt: skip
SERVICES = (
    Job("gate-planner", 0, (_PREDICTIONS,), ("gates.plan",), "team:airport-ops", "1",
        "Keeps a spare gate for flights expected late."),
    Job("rebooking-assistant", 0, (_PREDICTIONS,), ("rebooking.offers",), "team:customer-care", "1",
        "Offers another connection to passengers who would miss theirs."),
    Job("passenger-sms", 0, (_PREDICTIONS, "rebooking.offers"), ("sms.outbox",), "team:customer-care", "2",
        "Warns passengers of flights expected late."),
)  # fmt: skip

_COLUMNS = {
    "weather.hourly": OBSERVED,
    "features.weather": OBSERVED,
    "features.flight": ("distance", "hour", "weekday", *CATEGORIES),
    "features.plane": ("plane_age", "seats"),
    MODEL: FEATURES,
}
_MADE_OF = {
    "features.weather": {name: ("weather.hourly", name) for name in OBSERVED},
    "features.flight": {
        **{name: ("flights.schedule", name) for name in ("distance", *CATEGORIES)},
        **dict.fromkeys(("hour", "weekday"), ("flights.schedule", "departs")),
    },
    "features.plane": {"plane_age": ("planes.registry", "year"), "seats": ("planes.registry", "seats")},
    MODEL: {name: (dataset, name) for dataset in _FEATURED for name in _COLUMNS[dataset]},
}
_OWNERS = {
    "noaa.observations": "team:data-platform", "weather.hourly": "team:data-platform",
    "flights.schedule": "team:airport-ops", "flights.landed": "team:airport-ops", "planes.registry": "team:airport-ops",
}  # fmt: skip


def started(at: float, importances: dict[str, float]) -> list[dict[str, Any]]:
    """All there is, when the replay begins: each batch job's last run, version 1's training, the running services."""
    said = [event for job in BATCH for event in _batch(job, at - job.hours * _HOUR, "1")]
    said += trained(at - 24 * _HOUR, "1", importances)
    return [*said, *(_event("START", job, at, at, "1") for job in (SERVING, *SERVICES))]


def ran(start: float, end: float, version: str) -> list[dict[str, Any]]:
    """The batch runs that were due with start <= time < end, by the code deployed with `version` of the model."""
    said = []
    for job in BATCH:
        every = job.hours * _HOUR
        due = -(-start // every) * every
        if start <= due < end:
            said += _batch(job, due, version)
    return said


def trained(at: float, version: str, importances: dict[str, float]) -> list[dict[str, Any]]:
    """The training run that made a version, whose features have these importances."""
    said = [_event(kind, TRAINING, at, at + wait, version) for kind, wait in (("START", 0), ("COMPLETE", 90))]
    for event in said:
        tags = {f"importance:{feature}": f"{share:.4f}" for feature, share in importances.items()}
        event["outputs"][0]["facets"]["tags"] = _tags("TagsDatasetFacet", tier="1", **tags)
    return said


def served(at: float, version: str) -> list[dict[str, Any]]:
    """The serving job goes on with another version."""
    return [_event("START", SERVING, at, at, version)]


def _batch(job: Job, at: float, version: str) -> list[dict[str, Any]]:
    return [_event(kind, job, at, at + wait, version) for kind, wait in (("START", 0), ("COMPLETE", 40))]


def _event(kind: str, job: Job, began: float, at: float, version: str) -> dict[str, Any]:
    run = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{PRODUCER}/{job.name}/{began:.0f}"))
    nominal = _facet("NominalTimeRunFacet", "1-0-0", nominalStartTime=_iso(began))
    return {
        "eventType": kind,
        "eventTime": _iso(at),
        "run": {"runId": run, "facets": {"nominalTime": nominal}},
        "job": {"namespace": NAMESPACE, "name": job.name, "facets": _job_facets(job, version)},
        "inputs": [_dataset(name, version) for name in job.inputs],
        "outputs": [_dataset(name, version) for name in job.outputs],
        "producer": PRODUCER,
        "schemaURL": _SPEC,
    }


def _job_facets(job: Job, version: str) -> dict[str, Any]:
    always = job in (SERVING, *SERVICES)
    kind = {"kind": "service"} if always else {"kind": "training_job"} if job is TRAINING else {}
    facets = {
        "documentation": _facet("DocumentationJobFacet", "1-0-0", description=job.about),
        "ownership": _facet("OwnershipJobFacet", "1-0-0", owners=[{"name": job.owner, "type": "MAINTAINER"}]),
        "tags": _tags("TagsJobFacet", tier=job.tier, **kind),
        "jobType": _facet(
            "JobTypeJobFacet", "2-0-4", processingType="SERVICE" if always else "BATCH",
            integration="ACME", jobType="SERVICE" if always else "JOB",
        ),
    }  # fmt: skip
    if job.name == "weather_features":
        code = JOBS[version][0].split()[-1]
        url = f"{PRODUCER}/blob/{code}/weather_features.py"
        facets["sourceCodeLocation"] = _facet("SourceCodeLocationJobFacet", "1-0-1", type="git", url=url, version=code)
    return facets


def _dataset(name: str, version: str) -> dict[str, Any]:
    kind = "MODEL" if name == MODEL else "STREAM" if name in (_PREDICTIONS, "sms.outbox") else "TABLE"
    owner = _OWNERS.get(name, "team:flight-ml")
    facets = {
        "datasetType": _facet("DatasetTypeDatasetFacet", "1-0-0", datasetType=kind),
        "ownership": _facet("OwnershipDatasetFacet", "1-0-0", owners=[{"name": owner, "type": "MAINTAINER"}]),
    }
    if name in _COLUMNS:
        typed = [{"name": column, "type": "VARCHAR" if column in CATEGORIES else "DOUBLE"} for column in _COLUMNS[name]]
        facets["schema"] = _facet("SchemaDatasetFacet", "1-0-0", fields=typed)
    if name in _MADE_OF:
        fields = {
            column: {"inputFields": [{"namespace": NAMESPACE, "name": source, "field": field}]}
            for column, (source, field) in _MADE_OF[name].items()
        }
        facets["columnLineage"] = _facet("ColumnLineageDatasetFacet", "1-0-1", fields=fields)
    if name == MODEL:
        facets["version"] = _facet("DatasetVersionDatasetFacet", "1-0-0", datasetVersion=version)
    return {"namespace": NAMESPACE, "name": name, "facets": facets}


def _tags(facet: str, **tags: str) -> dict[str, Any]:
    return _facet(facet, "2-0-3", tags=[{"key": key, "value": value, "source": "USER"} for key, value in tags.items()])


def _facet(name: str, edition: str, **content: Any) -> dict[str, Any]:
    url = f"{_FACETS}/{edition}/{name}.json#/$defs/{name}"
    return {"_producer": PRODUCER, "_schemaURL": url, **content}


def _iso(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"
