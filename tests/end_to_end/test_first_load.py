"""A first load in which every delivery fails publishes nothing, and says so."""

from pathlib import Path

import pytest
from processes import Site

DAYS = ("2026-03-01", "2026-03-02")
GOOD = "touch_id,widget_id,touched_at\nt1,dveri,2026-03-01 09:00:00\n"


def deliver(site: Site, day: str, text: str) -> None:
    folder = site.landing / "touches" / day
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "a.csv").write_text(text)


@pytest.mark.parametrize("count", [1, 2])
def test_nothing_is_published_until_something_is_loaded(tmp_path: Path, count: int) -> None:
    site = Site(tmp_path / "site")
    (site.landing / "contacts").mkdir(parents=True)
    for day in DAYS[:count]:
        deliver(site, day, "")
    outcome = site.run("load")
    assert outcome.exit_code == 1
    said = " ".join(outcome.failure.split())
    which = "the one delivery" if count == 1 else "all 2 deliveries"
    assert f"Nothing is published: {which} failed, and none was loaded before." in said
    for day in DAYS[:count]:
        assert f"touches/{day}/a.csv is empty (0 bytes)" in said
    assert site.publications.current() is None and not site.publications.link.exists()
    assert site.private("select outcome from raw.loads") == [("failed",)] * count
    if count == 1:
        return
    # The other day stays failed, and what is good is published.
    deliver(site, DAYS[0], GOOD)
    outcome = site.run("load")
    assert outcome.exit_code == 1 and f"touches/{DAYS[1]}/a.csv is empty (0 bytes)" in " ".join(outcome.failure.split())
    assert site.publications.current() == 1
