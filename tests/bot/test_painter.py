"""The process that draws: started when needed, replaced when it dies, told no secrets, gone when we are."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from bot.painter import Painter


def tell(what: str) -> tuple[bytes, str]:
    """Stands for a drawing function; runs in the child."""
    if what == "fail":
        raise ValueError("no such colour")
    if what == "die":
        os._exit(3)
    return os.environ.get(what, "").encode(), str(os.getpid())


@pytest.fixture
def painter():
    made = Painter()
    yield made
    made.close()


async def test_it_draws_elsewhere_and_knows_no_secrets(painter, monkeypatch):
    """The same child answers twice, what goes wrong is raised here, and no token reaches it."""
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-canary")
    told, where = await painter.draw(tell, "SLACK_BOT_TOKEN")
    assert (told, where != str(os.getpid())) == (b"", True)
    with pytest.raises(ValueError, match="no such colour"):
        await painter.draw(tell, "fail")
    assert (await painter.draw(tell, "PATH"))[1] == where


@pytest.mark.parametrize("seen", [True, False])
async def test_the_pipes_of_a_child_that_died_are_closed(painter, seen):
    """Whether its end is seen before the next picture is sent or while it is sent."""
    await painter.draw(tell, "PATH")
    dead = painter._process
    dead.kill()
    if seen:
        dead.wait()
    assert (await painter.draw(tell, "PATH"))[1] != str(dead.pid)
    assert (dead.stdin.closed, dead.stdout.closed, dead.poll()) == (True, True, -9)


async def test_a_child_that_died_is_replaced(painter):
    """A picture whose child was killed is drawn by the next; one that kills every child is an error, not a loop."""
    _, first = await painter.draw(tell, "PATH")
    os.kill(int(first), 9)
    assert (await painter.draw(tell, "PATH"))[1] != first
    with pytest.raises(Exception, match="ended twice"):
        await painter.draw(tell, "die")
    assert (await painter.draw(tell, "PATH"))[0]


def test_it_ends_with_its_parent():
    """When the parent is killed the child reads the end of its pipe and goes, and with it the stderr they share."""
    script = (
        "import asyncio, os\nfrom bot.painter import PAINTER\nfrom tests.bot.test_painter import tell\n"
        "print(asyncio.run(PAINTER.draw(tell, 'PATH'))[1], flush=True)\nos.kill(os.getpid(), 9)"
    )
    parent = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert (parent.stdout.strip().isdigit(), parent.returncode) == (True, -9)
