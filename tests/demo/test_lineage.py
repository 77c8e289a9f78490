"""OpenLineage as the standard has it, and the graph it draws."""

from collections import defaultdict
from datetime import datetime
from uuid import UUID

from bot.demo import lineage
from bot.demo.features import FEATURES, OBSERVED
from bot.demo.flights import moment

START = moment("2013-03-01")
EVENTS = lineage.started(START, {"temp": 0.06}) + lineage.ran(START, START + 1800, "1")


def edges() -> dict[str, set[str]]:
    found = defaultdict(set)
    for event in EVENTS:
        for dataset in event["inputs"]:
            found[dataset["name"]].add(event["job"]["name"])
        for dataset in event["outputs"]:
            found[event["job"]["name"]].add(dataset["name"])
    return found


def downstream(name: str) -> set[str]:
    seen, todo = set(), [name]
    while todo:
        for following in edges()[todo.pop()] - seen:
            seen.add(following)
            todo.append(following)
    return seen


def test_events_have_all_the_spec_requires():
    """Each event: eventType of the enum, eventTime, a UUID run, named job and datasets, facets with their schema."""
    for event in EVENTS:
        assert event["eventType"] in {"START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER"}
        assert datetime.fromisoformat(event["eventTime"]).tzinfo
        UUID(event["run"]["runId"])
        assert event["schemaURL"] == "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
        parts = [event["job"], *event["inputs"], *event["outputs"]]
        assert all(part["namespace"] and part["name"] for part in parts)
        for facets in (event["run"]["facets"], *(part["facets"] for part in parts)):
            for facet in facets.values():
                assert facet["_producer"] == event["producer"]
                assert facet["_schemaURL"].startswith("https://openlineage.io/spec/facets/")


def test_the_weather_reaches_the_services_through_the_model():
    """Downstream of weather.hourly: its features, the model, the predictions, every service; not the planes."""
    reached = downstream("weather.hourly")
    wanted = {"features.weather", "flight-delay", "gate-planner", "rebooking-assistant", "passenger-sms"}
    assert wanted <= reached
    assert "features.plane" not in reached


def test_columns_lead_temp_from_the_station_to_the_model():
    """Column lineage leads the model's temp to features.weather and on to weather.hourly; every feature leads back."""
    facets = {dataset["name"]: dataset["facets"] for event in EVENTS for dataset in event["outputs"]}
    of_model = facets["flight-delay"]["columnLineage"]["fields"]
    assert set(of_model) == set(FEATURES)
    assert of_model["temp"]["inputFields"] == [{"namespace": "acme", "name": "features.weather", "field": "temp"}]
    of_weather = facets["features.weather"]["columnLineage"]["fields"]
    assert set(of_weather) == set(OBSERVED)
    assert of_weather["temp"]["inputFields"][0]["name"] == "weather.hourly"


def test_models_and_services_are_told_by_facets():
    """The model is a dataset of type MODEL with version and importances; a service is a job with owner, tier, kind."""
    (model,) = [event["outputs"][0] for event in EVENTS if event["job"]["name"] == "train_flight_delay"][:1]
    assert model["facets"]["datasetType"]["datasetType"] == "MODEL"
    assert model["facets"]["version"]["datasetVersion"] == "1"
    assert {"key": "importance:temp", "value": "0.0600", "source": "USER"} in model["facets"]["tags"]["tags"]
    (planner,) = [event["job"]["facets"] for event in EVENTS if event["job"]["name"] == "gate-planner"]
    assert planner["ownership"]["owners"] == [{"name": "team:airport-ops", "type": "MAINTAINER"}]
    tags = {tag["key"]: tag["value"] for tag in planner["tags"]["tags"]}
    assert tags == {"tier": "1", "kind": "service"}
    assert planner["jobType"]["processingType"] == "SERVICE"


def test_jobs_run_on_their_hours_once():
    """Over a day of slices of any length each batch job runs as often as its hours say, with runs of its own."""
    for length in (1800, 5400, 86400):
        cuts = range(int(START), int(START) + 86400, length)
        counts = defaultdict(set)
        for event in (event for cut in cuts for event in lineage.ran(cut, cut + length, "1")):
            counts[event["job"]["name"]].add(event["run"]["runId"])
        most = {job.name: 24 // job.hours for job in lineage.BATCH}
        if length == 86400:
            most = dict.fromkeys(most, 1)
        assert {name: len(runs) for name, runs in counts.items()} == most


def test_the_job_says_which_code_it_runs():
    """With version 2 of the model, weather_features runs the code it was deployed with."""
    (said, *_) = [event for event in lineage.ran(START, START + 1, "2") if event["job"]["name"] == "weather_features"]
    assert said["job"]["facets"]["sourceCodeLocation"]["version"] == "2.0"
