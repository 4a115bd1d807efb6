"""What each page shows: the views of the API, and what was computed from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from fedcoin.application.explorer.reading.payment_index import IndexedPayment
from fedcoin.v1.node_service_pb2 import GetFeesResponse, GetStatusResponse
from fedcoin.v1.views_pb2 import (
    AccountView,
    BlockView,
    CampaignView,
    PaymentView,
    TaskClientView,
    TaskMinerView,
    TaskView,
    TransactionView,
)


@dataclass(frozen=True, slots=True)
class ValidatorRow:
    """A validator, with its part in the latest blocks."""

    # In bech32m.
    address: str
    # Its voting power: its bond in sap.
    power: int
    # Its part of the voting power, 0 to 1.
    share: float
    # Whether it proposes the next block first.
    next_proposer: bool
    # For each of the latest blocks, the oldest first, whether the certificate holds its precommit.
    votes: tuple[bool, ...]
    # The last of these blocks that it signed; 0 for none.
    last_height: int


@dataclass(frozen=True, slots=True)
class Overview:
    """The first page: the network as it is now."""

    status: GetStatusResponse
    fees: GetFeesResponse
    validators: tuple[ValidatorRow, ...]
    # The latest blocks, the latest first.
    blocks: tuple[BlockView, ...]
    # The latest campaigns, the latest first.
    campaigns: tuple[CampaignView, ...]
    # Tasks that are being valued, the latest first.
    open_tasks: tuple[TaskView, ...]


@dataclass(frozen=True, slots=True)
class BlockList:
    """One page of blocks, the latest first."""

    blocks: tuple[BlockView, ...]
    # Whether it is the page of the latest blocks.
    is_first: bool
    # The node's token of the next page; empty on the last one.
    next_token: str


@dataclass(frozen=True, slots=True)
class BlockDetail:
    """One block, with one page of its transactions and payments."""

    block: BlockView
    # How many pages its transactions and payments have, and which one this is, from 1.
    num_pages: int
    page: int
    # The hashes of this page, in hex.
    transactions: tuple[str, ...]
    # The payments of this page.
    payments: tuple[PaymentView, ...]
    # How many payments the block made.
    num_payments: int
    # The node's height.
    chain_height: int


@dataclass(frozen=True, slots=True)
class TransactionDetail:
    """One transaction."""

    view: TransactionView
    # The action as indented JSON; its beginning when it is long.
    details: str
    # Whether the end of `details` is missing.
    is_cut: bool


@dataclass(frozen=True, slots=True)
class PendingList:
    """The transactions in the node's mempool, the oldest arrival first."""

    transactions: tuple[TransactionView, ...]
    # How many the mempool holds; the list may have fewer.
    total: int
    fees: GetFeesResponse


@dataclass(frozen=True, slots=True)
class CampaignList:
    """One page of campaigns, the latest first."""

    campaigns: tuple[CampaignView, ...]
    # Whether it is the page of the latest campaigns.
    is_first: bool
    # The node's token of the next page; empty on the last one.
    next_token: str


@dataclass(frozen=True, slots=True)
class RoundRow:
    """A task of a campaign, with the quality of the model that the round made."""

    task: TaskView
    # Paid to clients and to miners, in sap.
    paid_clients: int
    paid_miners: int
    # The utility of the aggregate, 0 to 1; None before a miner has proved it.
    utility: float | None


@dataclass(frozen=True, slots=True)
class CampaignDetail:
    """One campaign, with one page of its rounds."""

    campaign: CampaignView
    # The latest first.
    rounds: tuple[RoundRow, ...]
    # The node's token of the next page; empty on the last one.
    next_token: str


@dataclass(frozen=True, slots=True)
class ClientRow:
    """A client of a task."""

    # Its number in the task's order, from 1.
    number: int
    view: TaskClientView
    # The lowest and the highest value that a counted miner proved, in nano-utility; None before.
    interval: tuple[int, int] | None
    # Its part of what all clients were paid, 0 to 1.
    share: float
    # The number of the client whose update and this one are one player; its own when it is alone.
    group_number: int


@dataclass(frozen=True, slots=True)
class MinerRow:
    """A miner of a task."""

    view: TaskMinerView
    # Its part of all miners' power, 0 to 1.
    share: float
    # The L2 distance of its vector from S-bar in nano-utility; None before the settlement.
    distance_nano: int | None
    # Whether its vector is the nearest one.
    is_winner: bool


@dataclass(frozen=True, slots=True)
class TaskDetail:
    """One task, with one page of its clients."""

    task: TaskView
    clients: tuple[ClientRow, ...]
    # How many pages its clients have, and which one this is, from 1.
    num_pages: int
    page: int
    miners: tuple[MinerRow, ...]
    payments: tuple[PaymentView, ...]
    # Paid to all clients together, in sap.
    paid_clients: int
    # The utility of the aggregate, 0 to 1; None before a miner has proved it.
    utility: float | None
    # What to know before reading the values (`explain_by_commonest`); empty for nothing.
    note: str


@dataclass(frozen=True, slots=True)
class AddressDetail:
    """One address, with one page of its payments."""

    account: AccountView
    # What the client of this address calls itself; empty when it gave no name.
    name: str
    # Whether it is a validator of the next height.
    is_validator: bool
    # All payments that the index has, the latest first.
    payments: tuple[IndexedPayment, ...]
    # How many pages they have, and which one this is, from 1.
    num_pages: int
    page: int
    # The payments of this page.
    shown: tuple[IndexedPayment, ...]
    # The first and the last block that the index has.
    since_height: int
    indexed_height: int
    # Whether blocks that the node has are still being read.
    is_indexing: bool


@dataclass(frozen=True, slots=True)
class SearchResults:
    """What a part of an id or a name was found in."""

    # What was searched for, at most 100 characters.
    text: str
    # Whether the text is long enough to be searched for.
    is_searched: bool = False
    campaigns: tuple[CampaignView, ...] = ()
    tasks: tuple[TaskView, ...] = ()
    # Addresses and names.
    names: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ProofForm:
    """What is known of the proof that a page is to check."""

    # The task whose proof the page fetches, in hex; empty to choose a file.
    task: str
    # The address that was paid; empty to choose a file.
    address: str


@dataclass(frozen=True, slots=True)
class PageFailure:
    """Why a page cannot be shown."""

    # The heading.
    title: str
    # What is wrong.
    sentence: str
    # The error code of docs/API.md.
    code: str
    # What to do.
    advice: str


PageView: TypeAlias = (
    Overview
    | BlockList
    | BlockDetail
    | TransactionDetail
    | PendingList
    | CampaignList
    | CampaignDetail
    | TaskDetail
    | AddressDetail
    | SearchResults
    | ProofForm
    | PageFailure
)
"""What one page shows."""
