"""OpenCampaign and CloseCampaign: a budget in escrow for a training job of several rounds."""

from __future__ import annotations

from typing import Final

from fedcoin.contract.actions.reader_lists import check_terms_of_readers
from fedcoin.contract.amount_checks import check_amount
from fedcoin.contract.errors import LedgerCode
from fedcoin.contract.state import records
from fedcoin.contract.state.execution_context import ExecutionContext
from fedcoin.contract.tasks.closing import announce_closing
from fedcoin.contract.tasks.registered_receipts import check_settled
from fedcoin.contract.tasks.settlement import close_campaign as close
from fedcoin.data.crypto.addresses import ADDRESS_BYTES, format_address
from fedcoin.data.crypto.hashing import HASH_BYTES
from fedcoin.data.errors import RefusalError
from fedcoin.data.field_checks import check_choice, check_length, check_range
from fedcoin.data.messages.amounts import MAX_AMOUNT, format_amount
from fedcoin.data.messages.transactions import Transaction
from fedcoin.incentive.training_reward import split_budget
from fedcoin.learning.measures.terms import TERMS
from fedcoin.v1 import task_pb2
from fedcoin.v1.state_pb2 import CampaignState
from fedcoin.v1.task_pb2 import ClientList, OpenCampaign, PriceSplit

MAX_ROUNDS: Final = 10_000
"""The largest number of rounds of a campaign."""
MAX_SHARDS: Final = 10_000
"""The largest number of shards of an evaluation set."""
_CAMPAIGN_ENTRIES: Final = 4
"""Entries of the state that a campaign is charged for: its record is as long as four accounts."""
MIN_SIMILARITY_PPM: Final = 500_000
MAX_SIMILARITY_PPM: Final = 999_999
"""The smallest and the largest similarity limit of a campaign, in millionths."""
MAX_LISTED_CLIENTS: Final = 1_000_000
"""The largest number of clients on a list."""
_MIN_RECEIPT_WINDOW_MS: Final = 1_000
"""The shortest receipt window, in ms."""
_MAX_RECEIPT_WINDOW_MS: Final = 604_800_000
"""The longest receipt window, in ms: seven days."""
_MAX_PART: Final = 1_000_000
"""The largest part of a price split."""

_SPREADS: Final = (task_pb2.BUDGET_SPREAD_EQUAL, task_pb2.BUDGET_SPREAD_DECREASING)
_TRAINING_REWARDS: Final = (
    task_pb2.TRAINING_REWARD_PROPORTIONAL,
    task_pb2.TRAINING_REWARD_UNIT_PRICE,
)
_REWARDS: Final = (task_pb2.MINING_REWARD_WINNER, task_pb2.MINING_REWARD_PRO_RATA)
_UTILITIES: Final = tuple(TERMS)


def open_campaign(context: ExecutionContext, transaction: Transaction) -> None:
    """Open a campaign and put its whole budget in escrow. Its id is the transaction's hash.

    Args:
        context: The execution of the block.
        transaction: The decoded transaction; its body holds the action.

    Raises:
        RefusalError: INSUFFICIENT_BALANCE when the sender cannot pay the budget; a code of
            `check_terms`, such as BAD_ROUNDS or BUDGET_TOO_SMALL, when a term is out of range;
            BAD_SERVER when the server is known to be an account of several keys.
    """
    terms = transaction.body.open_campaign
    check_terms(terms)
    _check_server(context, terms.server)
    context.debit(transaction.sender, terms.budget, "budget")
    context.charge_state(transaction.sender, _CAMPAIGN_ENTRIES, "budget")
    campaign = CampaignState(
        requester=transaction.sender,
        terms=terms,
        escrow=terms.budget,
        difficulty_nano=context.parameters.initial_difficulty_nano,
        best_weights=terms.initial_weights,
        clients=terms.clients,
    )
    if terms.HasField("readers"):
        campaign.readers.CopyFrom(terms.readers)
    if terms.training_reward == task_pb2.TRAINING_REWARD_UNIT_PRICE:
        campaign.training_fund = split_budget(terms).training
    records.CAMPAIGNS.put(context.state, transaction.hash, record=campaign)


def close_campaign(context: ExecutionContext, transaction: Transaction) -> None:
    """Close a campaign early: what is left in escrow returns to the requester.

    A campaign that recognises receipts closes a receipt window later (`closing`), so that clients
    can register receipts for updates that the server has taken. While a task with registered
    receipts is open it may be asked to close as well: a client that opens one failing task after
    another would else leave the requester no block for it.

    Args:
        context: The execution of the block.
        transaction: The decoded transaction; its body holds the action.

    Raises:
        RefusalError: UNKNOWN_CAMPAIGN when there is no campaign of this id; NOT_THE_REQUESTER when
            another key opened it; CAMPAIGN_CLOSED when it is over; TASK_STILL_OPEN while a round
            without receipts is being valued; RECEIPTS_UNSETTLED while registered receipts wait for
            their round's task; CAMPAIGN_CLOSING when it was asked for before.
    """
    campaign_id = transaction.body.close_campaign.campaign_id
    campaign = read_campaign(context, campaign_id)
    check_requester(campaign, transaction.sender)
    is_valued = bool(campaign.receipts and campaign.open_task_id)
    if not is_valued:
        check_idle(campaign)
    if campaign.closing_ms:
        raise RefusalError(
            LedgerCode.CAMPAIGN_CLOSING,
            f"the campaign closes at Unix time {campaign.closing_ms} ms without a further request",
            field="campaign_id",
            limit=str(campaign.closing_ms),
        )
    if not is_valued:
        check_settled(context, campaign)
    if is_valued or (campaign.terms.receipt_window_ms and not campaign.receipts):
        announce_closing(context, campaign_id, campaign)
    else:
        close(context, campaign_id, campaign)
    records.CAMPAIGNS.put(context.state, campaign_id, record=campaign)


def read_campaign(context: ExecutionContext, campaign_id: bytes) -> CampaignState:
    """Read a campaign.

    Args:
        context: The execution of the block.
        campaign_id: The id as the transaction gives it, of any length.

    Returns:
        A copy of the campaign's record.

    Raises:
        RefusalError: UNKNOWN_CAMPAIGN when there is no such campaign.
    """
    campaign = records.CAMPAIGNS.get(context.state, campaign_id)
    if campaign is None:
        raise RefusalError(
            LedgerCode.UNKNOWN_CAMPAIGN,
            f"there is no campaign {campaign_id[:HASH_BYTES].hex()}",
            field="campaign_id",
        )
    return campaign


def check_requester(campaign: CampaignState, sender: bytes) -> None:
    """Check that a transaction comes from a campaign's requester.

    Args:
        campaign: The campaign's record.
        sender: The transaction's sender, 20 bytes.

    Raises:
        RefusalError: NOT_THE_REQUESTER when it comes from another address.
    """
    if campaign.requester != sender:
        raise RefusalError(
            LedgerCode.NOT_THE_REQUESTER,
            "only the requester that opened the campaign may close or change it",
            field="campaign_id",
        )


def check_open(campaign: CampaignState) -> None:
    """Check that a campaign is not over.

    Args:
        campaign: The campaign's record.

    Raises:
        RefusalError: CAMPAIGN_CLOSED when it is over.
    """
    if campaign.closed:
        raise RefusalError(
            LedgerCode.CAMPAIGN_CLOSED, "the campaign is closed", field="campaign_id"
        )


def check_idle(campaign: CampaignState) -> None:
    """Check that a campaign is open and has no open task.

    Args:
        campaign: The campaign's record.

    Raises:
        RefusalError: CAMPAIGN_CLOSED when it is over; TASK_STILL_OPEN when it has an open task.
    """
    check_open(campaign)
    if campaign.open_task_id:
        raise RefusalError(
            LedgerCode.TASK_STILL_OPEN,
            f"task {campaign.open_task_id.hex()} of the campaign is open: wait until it is settled",
            field="campaign_id",
        )


def check_terms(terms: OpenCampaign) -> None:
    """Check the terms of a campaign, as far as they do not depend on the state.

    Args:
        terms: The campaign's terms.

    Raises:
        RefusalError: BAD_SERVER or BAD_HASH when the server's address or an artifact's id has a
            wrong length; BAD_ROUNDS or BAD_SHARDS when their number is 0 or above the limit;
            ZERO_AMOUNT or AMOUNT_OVERFLOW when the budget is 0 or cannot exist; BUDGET_TOO_SMALL
            when a round would get less than one sap; BAD_SPREAD, BAD_MINING_REWARD, BAD_UTILITY or
            BAD_TRAINING_REWARD when one of these enums has an unknown value, or the unit price does
            not fit the reward; BAD_PRICE_SPLIT when a part is above 1,000,000 or all are 0;
            BAD_CLIENT_LIST as in `check_client_list`; BAD_READERS as in `check_terms_of_readers`;
            BAD_SIMILARITY_LIMIT or BAD_RECEIPT_WINDOW when one of these is out of range.
    """
    check_length(terms.server, ADDRESS_BYTES, "server", code=LedgerCode.BAD_SERVER)
    for name in ("model", "initial_weights", "evaluation_root"):
        check_length(getattr(terms, name), HASH_BYTES, name, code=LedgerCode.BAD_HASH)
    check_range(terms.rounds, 1, MAX_ROUNDS, "rounds", code=LedgerCode.BAD_ROUNDS)
    if check_amount(terms.budget, "budget") < terms.rounds:
        raise RefusalError(
            LedgerCode.BUDGET_TOO_SMALL,
            f"budget is {format_amount(terms.budget)}; {terms.rounds} rounds need at least one sap"
            " each",
            field="budget",
            limit=str(terms.rounds),
        )
    check_choice(terms.spread, _SPREADS, "spread", code=LedgerCode.BAD_SPREAD)
    _check_split(terms.split)
    check_choice(terms.mining_reward, _REWARDS, "mining_reward", code=LedgerCode.BAD_MINING_REWARD)
    check_range(
        terms.evaluation_shards, 1, MAX_SHARDS, "evaluation_shards", code=LedgerCode.BAD_SHARDS
    )
    check_choice(terms.utility, _UTILITIES, "utility", code=LedgerCode.BAD_UTILITY)
    _check_training_reward(terms)
    check_client_list(terms.clients)
    check_terms_of_readers(terms)
    if terms.similarity_limit_ppm:
        check_range(
            terms.similarity_limit_ppm,
            MIN_SIMILARITY_PPM,
            MAX_SIMILARITY_PPM,
            "similarity_limit_ppm",
            code=LedgerCode.BAD_SIMILARITY_LIMIT,
        )
    if terms.receipt_window_ms:
        check_range(
            terms.receipt_window_ms,
            _MIN_RECEIPT_WINDOW_MS,
            _MAX_RECEIPT_WINDOW_MS,
            "receipt_window_ms",
            code=LedgerCode.BAD_RECEIPT_WINDOW,
        )


def _check_server(context: ExecutionContext, server: bytes) -> None:
    """Refuse a server that could open no task and sign no receipt, as far as the state tells."""
    if context.account(server).num_keys:
        raise RefusalError(
            LedgerCode.BAD_SERVER,
            f"server is {format_address(server)}, an account of several keys; tasks and receipts"
            " are signed by one key: name the account of a coordinator's key",
            field="server",
        )


def check_client_list(clients: ClientList) -> None:
    """Check the form of a list of clients.

    Args:
        clients: The list; an empty one lets anybody take part.

    Raises:
        RefusalError: BAD_CLIENT_LIST when the root does not have 32 bytes, the count is 0 or above
            `MAX_LISTED_CLIENTS`, or only one of them is given.
    """
    code = LedgerCode.BAD_CLIENT_LIST
    if not clients.root:
        check_range(clients.count, 0, 0, "clients.count", code=code)
        return
    check_length(clients.root, HASH_BYTES, "clients.root", code=code)
    check_range(clients.count, 1, MAX_LISTED_CLIENTS, "clients.count", code=code)


def _check_training_reward(terms: OpenCampaign) -> None:
    code = LedgerCode.BAD_TRAINING_REWARD
    check_choice(terms.training_reward, _TRAINING_REWARDS, "training_reward", code=code)
    if terms.training_reward == task_pb2.TRAINING_REWARD_UNIT_PRICE:
        check_range(terms.unit_price, 1, MAX_AMOUNT, "unit_price", code=code)
    else:
        check_range(terms.unit_price, 0, 0, "unit_price", code=code)


def _check_split(split: PriceSplit) -> None:
    parts = (split.training, split.aggregation, split.mining)
    if max(parts) > _MAX_PART or not any(parts):
        raise RefusalError(
            LedgerCode.BAD_PRICE_SPLIT,
            f"split is {parts[0]} : {parts[1]} : {parts[2]}; each part must be at most {_MAX_PART},"
            " and one must be more than 0",
            field="split",
            limit=str(_MAX_PART),
        )
