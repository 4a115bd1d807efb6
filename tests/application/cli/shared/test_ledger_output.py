"""Transactions as people read them."""

from __future__ import annotations

from fedcoin.application.cli.shared.ledger_output import AMOUNT_FIELDS, with_units
from fedcoin.contract.views import message_to_json
from fedcoin.v1.task_pb2 import OpenCampaign, OpenTask, PriceSplit, RoundPrices
from fedcoin.v1.transaction_pb2 import CommitShapley, Transfer, TransferOutput


def test_amounts_have_a_unit_and_other_numbers_have_none() -> None:
    transfer = Transfer(outputs=[TransferOutput(recipient=b"a" * 20, amount=250_000_000)])
    (output,) = with_units(message_to_json(transfer))["outputs"]
    assert output["amount"] == "2.5 FDC"
    split = PriceSplit(training=7, aggregation=1, mining=2)
    campaign = with_units(message_to_json(OpenCampaign(rounds=3, budget=10**9, split=split)))
    assert (campaign["rounds"], campaign["budget"]) == (3, "10 FDC")
    assert campaign["split"] == {"training": 7, "aggregation": 1, "mining": 2}
    task = with_units(message_to_json(OpenTask(prices=RoundPrices(mining=10**8), round=2)))
    assert (task["prices"]["mining"], task["round"]) == ("1 FDC", 2)
    assert with_units(message_to_json(CommitShapley(deposit=10**7)))["deposit"] == "0.1 FDC"


def test_each_name_is_a_field_of_an_action() -> None:
    parts = (OpenCampaign, OpenTask, RoundPrices, CommitShapley, TransferOutput)
    assert {field.name for part in parts for field in part.DESCRIPTOR.fields} >= AMOUNT_FIELDS
