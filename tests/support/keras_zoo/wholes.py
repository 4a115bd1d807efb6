"""Whole models: all but those of single layers."""

from __future__ import annotations

from tests.support.keras_zoo.entries import Entry
from tests.support.keras_zoo.forms import list_forms
from tests.support.keras_zoo.graphs import list_graphs
from tests.support.keras_zoo.refusals import list_refusals


def list_wholes() -> list[Entry]:
    """List the models that are not made for one layer."""
    return [*list_forms(), *list_graphs(), *list_refusals()]
