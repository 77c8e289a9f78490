"""The joins: event time, labels, weather as it was known, planes."""

import numpy as np
import pytest

from bot.demo import features, flights
from bot.demo.features import asked, assemble, received
from bot.demo.flights import World, moment, package_tables


@pytest.fixture(scope="module")
def year(tmp_path_factory):
    folder = tmp_path_factory.mktemp("flights")
    flights.load(folder)
    return flights.load(folder)


def one(world: World, name: str) -> dict:
    row = int(np.flatnonzero(world.requests["id"] == name)[0])
    return {column: values[row : row + 1] for column, values in world.requests.items()}


def test_ids_are_unique_and_requests_in_event_time(year):
    """Every flight of the year is one request with an id of its own, in order of event time."""
    assert len(year.requests["id"]) == len(set(year.requests["id"])) == 336_776
    assert (np.diff(year.requests["at"]) >= 0).all()


@pytest.mark.parametrize(
    ("name", "departs", "hour"),
    [
        ("20130101-UA1545-EWR", "2013-01-01T10:15:00+00:00", 5),
        ("20130704-AA701-JFK", "2013-07-04T09:40:00+00:00", 5),
    ],
)
def test_times_are_utc_in_winter_and_summer(year, name, departs, hour):
    """A departure at 5 o'clock in New York is 10 o'clock UTC in January and 9 in July; the request is 2 h before."""
    request = one(year, name)
    assert request["departs"][0] == moment(departs)
    assert request["at"][0] == moment(departs) - 2 * 3600
    assert assemble(year, request, "1")["hour"][0] == hour


def test_the_label_arrives_when_the_flight_has_landed(year):
    """UA1545 of 1 January left 2 minutes late, flew 227 minutes, arrived 11 minutes late: not late, known at 14:24."""
    request = one(year, "20130101-UA1545-EWR")
    assert request["late"][0] == 0
    assert request["landed"][0] == moment("2013-01-01T14:24Z")


def test_cancelled_flights_have_no_label(year):
    """The package's table has 9,430 flights that never arrived; they have neither label nor landing, and no others."""
    never = np.isnan(year.requests["late"])
    assert never.sum() == 9_430
    assert (np.isnan(year.requests["landed"]) == never).all()


def test_labels_are_the_packages_own_delays(year):
    """The share of late flights is that of arr_delay > 30 in the package's table, read apart."""
    import pandas as pd

    delay = pd.read_csv(package_tables() / "flights.csv.zip", usecols=["arr_delay"]).arr_delay
    assert np.nansum(year.requests["late"]) == (delay > 30).sum()


def test_weather_is_the_newest_report_already_made(year):
    """A request at 08:15 UTC knows the report of 08:00 from its own airport, not that of 09:00."""
    found = features.observed(year, one(year, "20130101-UA1545-EWR"))
    station = year.weather["EWR"]
    row = int(np.flatnonzero(station["at"] == moment("2013-01-01T08:00Z"))[0])
    assert found["temp"][0] == station["temp"][row]
    assert station["temp"][row] != station["temp"][row + 1]


def test_weather_older_than_three_hours_is_missing(year):
    """The reports end on 30 December 23:00 UTC; a flight of 31 December has no weather."""
    request = one(year, "20131231-DL412-JFK")
    assert all(np.isnan(values[0]) for values in features.observed(year, request).values())


def test_before_the_first_report_weather_is_missing(year):
    """A request before any report gets no weather, not the last row of the table."""
    request = one(year, "20130101-UA1545-EWR") | {"at": np.array([0.0])}
    assert np.isnan(features.observed(year, request)["temp"][0])


def test_version_two_delivers_celsius_and_nothing_else_differs(year):
    """The jobs of both versions agree on every feature but `temp`, which is the same temperature in Celsius."""
    requests = year.between(moment("2013-03-04"), moment("2013-03-05"))
    first, second = assemble(year, requests, "1"), assemble(year, requests, "2")
    assert tuple(first) == features.FEATURES
    np.testing.assert_allclose(second["temp"], (first["temp"] - 32) / 1.8, atol=0.005)
    for name in set(first) - {"temp"}:
        assert np.array_equal(first[name], second[name], equal_nan=name not in features.CATEGORIES)


def test_a_request_survives_the_wire(year):
    """What the server reads from a request sent as JSON gives the very features of the table."""
    requests = year.between(moment("2013-03-10"), moment("2013-03-11"))
    read = received(asked(requests))
    told = assemble(year, requests, "1")
    for name, values in assemble(year, read, "1").items():
        assert np.array_equal(values, told[name], equal_nan=name not in features.CATEGORIES), name


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ({"departs": "soon"}, "requests\\[1\\] is not a request"),
        ({"at": "2013-03-04T10:00:00"}, "without its offset"),
        ({"distance": "far"}, "requests\\[1\\] is not a request"),
    ],
)
def test_a_bad_request_is_named(year, broken, says):
    """A request that cannot be read is named by its place and its trouble."""
    sent = asked(year.between(moment("2013-03-04"), moment("2013-03-04T12:00Z")))[:2]
    with pytest.raises(ValueError, match=says):
        received([sent[0], sent[1] | broken])
    with pytest.raises(ValueError, match=r"requests\[1\] has no 'origin'"):
        received([sent[0], {name: value for name, value in sent[1].items() if name != "origin"}])


def test_rows_are_json_without_nan(year):
    """Rows for the wire hold None where a value is unknown and never NaN."""
    requests = year.between(moment("2013-03-04"), moment("2013-03-05"))
    rows = features.rows(assemble(year, requests, "1"))
    values = [value for row in rows for value in row.values()]
    assert None in values
    assert all(value == value for value in values)
