"""Model servers, ticket systems, pagers and language models, each over real HTTP on loopback."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from aiohttp import ClientSession, web

from core.errors import Refused, Unavailable
from core.incidents import advance, mark
from core.settings import Secret
from integrations import http, prometheus
from integrations.jira import Jira
from integrations.local_server import free_port
from integrations.local_tickets import LocalTickets
from integrations.pagerduty import Pagerduty
from integrations.webhook import Webhook
from tests.integrations.events import incident
from tests.integrations.outside import Admin, JiraServer, PagerdutyServer

pytestmark = pytest.mark.servers


@pytest.fixture(autouse=True)
def _brief_pauses(monkeypatch):
    monkeypatch.setattr(http.ask, "__kwdefaults__", http.ask.__kwdefaults__ | {"pause": 0.01})


# model servers


async def test_webhook_says_what_serves(opened):
    """The state of the model comes in the words of the port, whichever of the two words the server uses."""
    hook = Webhook(await opened(Admin().app))
    state = await hook.current("acme", "fraud")
    assert (state["version"], state["previous"], state["in_flight"]) == ("2", "1", False)
    assert state["versions"]["1"]["healthy"] is True


async def test_webhook_acts_once_though_answers_are_lost(opened):
    """When answers are lost the same key is sent again: one deployment."""
    admin = Admin()
    admin.fail = [web.Response(status=503), web.Response(status=500)]
    hook = Webhook(await opened(admin.app), Secret("hunter2"))
    answer = await hook.act("rollback", "acme", "fraud", {"to": "1", "from": "2"}, "key-1")
    assert answer == {"current": "1"}
    assert admin.deployments == [("rollback", "1")]
    assert len({seen["Idempotency-Key"] for seen in admin.seen}) == 1
    assert admin.seen[0]["Authorization"] == "Bearer hunter2"


async def test_webhook_refusal_carries_the_servers_words(opened):
    """A 4xx is a refusal with the server's message, cleaned, and is not tried again."""
    admin = Admin()
    hook = Webhook(await opened(admin.app))
    with pytest.raises(Refused, match="no version 9"):
        await hook.act("deploy", "acme", "fraud", {"to": "9"}, "key-1")
    assert len(admin.seen) == 1
    with pytest.raises(Refused, match="no such model"):
        await hook.current("acme", "other")


@pytest.mark.parametrize(
    "answer",
    [
        web.Response(text="<html>", content_type="text/html"),
        web.json_response(["no", "object"]),
        web.json_response({"versions": {}}),
    ],
)
async def test_webhook_nonsense_is_unavailable(opened, answer):
    """A server that does not say what serves is not believed."""
    admin = Admin()
    admin.fail = [answer]
    with pytest.raises(Unavailable):
        await Webhook(await opened(admin.app)).current("acme", "fraud")


async def test_webhook_absent_or_broken_server_is_unavailable_with_a_remedy(opened):
    """Nobody there, or 500 again and again: Unavailable that names where to look, without the token."""
    hook = Webhook(f"http://127.0.0.1:{free_port()}", Secret("hunter2"))
    with pytest.raises(Unavailable, match=r"\[deployers.webhook\]") as caught:
        await hook.current("acme", "fraud")
    assert "hunter2" not in str(caught.value)
    admin = Admin()
    admin.fail = [web.Response(status=500, text="boom\x1b[31m<!channel>") for _ in range(3)]
    with pytest.raises(Unavailable, match="boom") as caught:
        await Webhook(await opened(admin.app)).current("acme", "fraud")
    assert not set("\x1b<>") & set(str(caught.value))


async def test_webhook_does_not_follow_redirects(opened):
    """A redirect is refused: the token goes to the configured address alone."""
    elsewhere = Admin()
    there = await opened(elsewhere.app)
    admin = Admin()
    admin.fail = [web.Response(status=302, headers={"Location": f"{there}/v1/models/fraud"})]
    with pytest.raises(Refused, match="302"):
        await Webhook(await opened(admin.app), Secret("t")).current("acme", "fraud")


# tickets


async def test_local_ticket_is_written_once_a_key(tmp_path):
    """The same key is the same file, whatever else is said; another key is another."""
    tickets = LocalTickets(tmp_path / "tickets")
    first = await tickets.open_ticket("k1", "Fraud drifts\x1b[0m <!here>", "because")
    assert await tickets.open_ticket("k1", "Other words", "other") == first
    second = await tickets.open_ticket("k2", "../../etc/passwd", "x")
    assert Path(second).parent == tmp_path / "tickets"
    assert second != first
    assert Path(first).read_text().startswith("# Fraud drifts [0m !here\n\nbecause")
    assert len(list((tmp_path / "tickets").iterdir())) == 2


async def test_local_ticket_that_cannot_be_written_is_unavailable(tmp_path):
    """A file where the folder should be is an error that names it."""
    (tmp_path / "tickets").write_text("in the way")
    with pytest.raises(Unavailable, match="tickets"):
        await LocalTickets(tmp_path / "tickets").open_ticket("k", "t", "b")


async def test_jira_ticket_is_made_once_a_key(opened):
    """The same key finds the issue again by its label; markup in the text stays text."""
    server = JiraServer()
    url = await opened(server.app)
    jira = Jira(url, "OPS", token=Secret("right"))
    first = await jira.open_ticket("k1", "Fraud drifts", "see {code} and [link|http://x]")
    assert first == f"{url}/browse/OPS-1"
    assert await jira.open_ticket("k1", "Fraud drifts", "again") == first
    assert await jira.open_ticket("k2", "Other", "b") != first
    assert server.issues["OPS-1"]["description"] == "see \\{code} and \\[link\\|http://x]"
    assert len(server.issues) == 2


async def test_jira_follows_its_incident(opened):
    """One issue an incident: current text, done when the incident is over, however often it is synced."""
    server = JiraServer()
    jira = Jira(await opened(server.app), "OPS", token=Secret("right"))
    first = incident()
    over = advance(first, "dismissed", writer="converse", now=9.0, actor="U1", what="dismissed", reason="noise")
    for one in (first, first, over, over):
        await jira.sync(one)
    [issue] = server.issues.values()
    assert "dismissed" in issue["description"]
    assert issue["status"]["statusCategory"]["key"] == "done"


async def test_jira_errors_name_the_remedy_and_no_token(opened):
    """A refused token and an absent server are told apart; neither message shows the token."""
    for url, remedy in (
        (await opened(JiraServer().app), "JIRA_TOKEN"),
        (f"http://127.0.0.1:{free_port()}", "receivers.jira"),
    ):
        with pytest.raises(Unavailable, match=remedy) as caught:
            await Jira(url, "OPS", token=Secret("hunter2")).open_ticket("k", "t", "b")
        assert "hunter2" not in str(caught.value)


# pagers


async def test_pagerduty_follows_its_incident(opened):
    """One event an incident: triggered, acknowledged, resolved, however often it is synced."""
    server = PagerdutyServer()
    pager = Pagerduty(await opened(server.app), key=Secret("right"))
    first = incident()
    acknowledged = mark(first, now=8.0, actor="U1", what="acknowledged", acknowledged_by="U1")
    over = advance(acknowledged, "dismissed", writer="converse", now=9.0, actor="U1", what="dismissed")
    actions = []
    for one in (first, first, acknowledged, over):
        await pager.sync(one)
        [row] = server.rows.values()
        actions.append(row["action"])
    assert actions == ["trigger", "trigger", "acknowledge", "resolve"]
    assert row["severity"] == "error"
    assert "acme/fraud" in row["summary"]


async def test_pagerduty_wakes_nobody_for_small_things(opened):
    """A SEV4 is not paged by itself; a person may still page, and then it is followed to its end."""
    server = PagerdutyServer()
    pager = Pagerduty(await opened(server.app), key=Secret("right"))
    small = msgspec.structs.replace(incident(), severity="SEV4")
    await pager.sync(small)
    assert server.rows == {}
    await pager.page(small, "nobody acknowledged it")
    paged = mark(small, now=8.0, actor="U1", what="paged the on-call")
    await pager.sync(advance(paged, "dismissed", writer="converse", now=9.0, actor="U1", what="dismissed"))
    [row] = server.rows.values()
    assert row["action"] == "resolve"


async def test_pagerduty_errors_name_the_remedy_and_no_key(opened):
    """A refused key, and none at all, say which variable to set."""
    url = await opened(PagerdutyServer().app)
    with pytest.raises(Unavailable, match="PAGERDUTY_KEY") as caught:
        await Pagerduty(url, key=Secret("hunter2")).page(incident(), "")
    assert "hunter2" not in str(caught.value)
    with pytest.raises(Unavailable, match="PAGERDUTY_KEY"):
        await Pagerduty(url).page(incident(), "")


# language models


# metrics


class _Flags:
    def __init__(self, away: bool = False):
        self.away = away

    async def counts(self) -> dict[str, int]:
        if self.away:
            raise Unavailable("away")
        return {'odd "name"\n': 1_234_567}


class _Bus:
    async def depth(self) -> dict:
        consumer = {"waiting": 3, "in_hand": 1, "redelivered": 0}
        return {"ALERTS": {"messages": 7, "consumers": {"d": consumer}}}


async def test_metrics_are_in_prometheus_format():
    """Counters and lag are there, exactly, with labels escaped."""
    runner = await prometheus.serve(_Flags(), _Bus())
    try:
        async with ClientSession(f"http://127.0.0.1:{runner.addresses[0][1]}") as session:
            async with session.get("/metrics") as answer:
                lines = (await answer.text()).splitlines()
                assert answer.headers["Content-Type"] == prometheus.CONTENT_TYPE
            async with session.get("/healthz") as answer:
                assert answer.status == 200
    finally:
        await runner.cleanup()
    assert 'middlewatch_consumer_waiting{stream="ALERTS",consumer="d"} 3.0' in lines
    assert 'middlewatch_count_total{name="odd \\"name\\"\\n"} 1234567.0' in lines
    assert 'middlewatch_up{server="redis"} 1.0' in lines


async def test_metrics_say_when_a_server_is_away():
    """With Redis away the page still answers, says so, and health is 503."""
    runner = await prometheus.serve(_Flags(away=True), _Bus())
    try:
        async with ClientSession(f"http://127.0.0.1:{runner.addresses[0][1]}") as session:
            async with session.get("/metrics") as answer:
                assert 'middlewatch_up{server="redis"} 0.0' in await answer.text()
            async with session.get("/healthz") as answer:
                assert answer.status == 503
    finally:
        await runner.cleanup()
