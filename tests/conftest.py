"""Every test: no example has a time limit, because the machine may be busy; the attack suite says its score."""

from hypothesis import settings

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


def pytest_terminal_summary(terminalreporter) -> None:
    """What the attack suite (tests/bot/test_attacks.py) came to, over all workers."""
    score: dict[str, int] = {}
    for report in (r for kind in ("passed", "failed") for r in terminalreporter.stats.get(kind, ())):
        for name, count in getattr(report, "user_properties", ()):
            if name.startswith("attacks "):
                score[name] = score.get(name, 0) + count
    if score:
        said = ", ".join(f"{count} {name.removeprefix('attacks ')}" for name, count in score.items())
        terminalreporter.write_line(f"attack suite: {said}")
