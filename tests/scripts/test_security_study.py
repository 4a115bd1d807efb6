"""The study and its document fit together."""

from __future__ import annotations

import re

import pytest

from scripts.studies.security import document_tables, measurement_jobs
from tests.support.paths import DOCS

THREATS = DOCS / "THREATS.md"


@pytest.mark.parametrize("quick", [True, False])
def test_every_measurement_has_a_name_of_its_own_and_a_part(quick: bool) -> None:
    jobs = measurement_jobs.jobs(quick)
    assert len({job.name for job in jobs}) == len(jobs)
    assert {job.part for job in jobs} == set(measurement_jobs.PARTS)


def test_every_table_has_its_place_and_every_place_a_table() -> None:
    text = THREATS.read_text(encoding="utf-8")
    marks = re.findall(r"<!-- study: ([a-z]+) -->\n\|.*?<!-- end -->", text, flags=re.DOTALL)
    assert sorted(marks) == sorted(document_tables.TABLES)


def test_what_is_measured_is_put_where_it_belongs() -> None:
    jobs = {job.name: job for job in measurement_jobs.jobs(quick=True)}
    found = {
        name: measurement_jobs.run(jobs[name])
        for name in ("foreign", "coordinator", "equivocated 4")
    }
    rendered = document_tables.render(found)
    assert sorted(rendered) == ["coordinator", "equivocation", "foreign"]
    before = THREATS.read_text(encoding="utf-8")
    after = document_tables.put(before, rendered)
    assert all(text in after for text in rendered.values())
    assert document_tables.put(after, rendered) == after
    # These have no small and large numbers: the document has them as they are.
    assert rendered["foreign"] in before
    assert rendered["coordinator"] in before
