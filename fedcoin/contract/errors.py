"""Codes of the refusals of the contract layer.

A code's value is its name. Its text says what happened and, after a blank line, what to do.
`scripts/tools/write_error_codes.py` copies both into docs/API.md, with the code's gRPC status from
`network/error_statuses.py`.
"""

from __future__ import annotations

from enum import Enum
from typing import Final


class LedgerCode(str, Enum):
    """Why the ledger or the mempool refused a transaction, a block or a snapshot."""

    # Any transaction.
    NONCE_TOO_LOW = "NONCE_TOO_LOW"
    """The sender's transaction with this nonce is in a block already.

    Sign again with the account's next nonce."""
    NONCE_TOO_HIGH = "NONCE_TOO_HIGH"
    """The sender's transactions with lower nonces are missing.

    Submit those first, or sign with the account's next nonce."""
    NEEDS_ONE_KEY = "NEEDS_ONE_KEY"
    """An account of several keys cannot be a validator, a miner, a server or a client.

    Use an account of one key for that: votes, evidence, updates and receipts have one signature."""
    FEE_TOO_LOW = "FEE_TOO_LOW"
    """The fee is less than a transaction of this length costs.

    Pay at least the limit, in sap."""
    EXPIRED = "EXPIRED"
    """The transaction's expiry height has passed.

    Sign it again with a later expiry height."""
    EXPIRY_TOO_FAR = "EXPIRY_TOO_FAR"
    """The expiry height is further ahead than the network allows.

    Use at most the height that the error names."""
    INSUFFICIENT_BALANCE = "INSUFFICIENT_BALANCE"
    """The sender's balance does not cover the amount and the fee.

    Send less, or wait for coins."""
    ZERO_AMOUNT = "ZERO_AMOUNT"
    """An amount is 0.

    Send at least 1 sap."""
    AMOUNT_OVERFLOW = "AMOUNT_OVERFLOW"
    """An amount or a sum is more than can exist (2^63 - 1 sap).

    Use smaller amounts."""

    BLOCK_FULL = "BLOCK_FULL"
    """A block adds more entries to the state than a block may.

    Nothing: builders leave such transactions for a later block, and refuse blocks with more."""

    # Transfers.
    NO_OUTPUTS = "NO_OUTPUTS"
    """A transfer has no recipient.

    Add at least one output."""
    TOO_MANY_OUTPUTS = "TOO_MANY_OUTPUTS"
    """A transfer has more recipients than allowed.

    Divide it into several transactions."""
    BAD_RECIPIENT = "BAD_RECIPIENT"
    """A recipient's address does not have 20 bytes.

    Give the 20 bytes of an address."""

    # Bonds.
    BOND_TOO_SMALL = "BOND_TOO_SMALL"
    """The bond would be below the network's minimum.

    Bond at least the limit, in sap."""
    BOND_LEFT_TOO_SMALL = "BOND_LEFT_TOO_SMALL"
    """Unbonding would leave less than the minimum, but more than nothing.

    Leave at least the minimum, or unbond everything."""
    INSUFFICIENT_BOND = "INSUFFICIENT_BOND"
    """More is to be unbonded than is bonded.

    Unbond at most the limit, in sap."""
    TOO_MANY_VALIDATORS = "TOO_MANY_VALIDATORS"
    """The validator set is full, and no bond in it is smaller.

    Bond more than the smallest validator's bond, or wait until a validator unbonds."""
    TOO_MANY_UNBONDINGS = "TOO_MANY_UNBONDINGS"
    """Too many parts of this bond are on their way back.

    Wait until one has returned."""
    LAST_VALIDATOR = "LAST_VALIDATOR"
    """The only validator cannot unbond, because no validator would be left to decide a block.

    Have another validator bond first."""
    ALREADY_SLASHED = "ALREADY_SLASHED"
    """The key was slashed for contradicting votes; it cannot be slashed again or bond again.

    Bond with another key."""

    # Contradicting votes.
    NOT_CONTRADICTING = "NOT_CONTRADICTING"
    """The two votes do not contradict each other.

    Show two votes of one key, kind, height and round for different blocks."""
    NOT_SLASHABLE = "NOT_SLASHABLE"
    """No bond was at stake at the votes' height, or it has returned since.

    Nothing: the votes cannot be punished any more."""

    # Campaigns.
    BAD_SERVER = "BAD_SERVER"
    """The server's address does not have 20 bytes, or is that of an account of several keys.

    Give the address of the key that opens the tasks."""
    BAD_HASH = "BAD_HASH"
    """A hash does not have 32 bytes.

    Give a SHA-256 hash or an artifact's id."""
    BAD_ROUNDS = "BAD_ROUNDS"
    """The number of rounds is 0 or above the limit.

    Use a number within the range that the error names."""
    BUDGET_TOO_SMALL = "BUDGET_TOO_SMALL"
    """The budget has less than one sap for each round.

    Give a larger budget, or fewer rounds."""
    BAD_SPREAD = "BAD_SPREAD"
    """The spread of the budget over the rounds is not a known one.

    Use a value of `BudgetSpread`."""
    BAD_PRICE_SPLIT = "BAD_PRICE_SPLIT"
    """The parts of training, aggregation and mining are too large or all 0.

    Give parts within the limit, at least one above 0."""
    BAD_TRAINING_REWARD = "BAD_TRAINING_REWARD"
    """A campaign's training reward is unknown, or its unit price does not fit the reward.

    Choose one of `TrainingReward`; give a unit price under UNIT_PRICE, and none otherwise."""
    BAD_MINING_REWARD = "BAD_MINING_REWARD"
    """The division of the mining price is not a known one.

    Use a value of `MiningReward`."""
    BAD_SHARDS = "BAD_SHARDS"
    """The number of evaluation shards is 0 or above the limit.

    Use a number within the range that the error names."""
    BAD_CLIENT_LIST = "BAD_CLIENT_LIST"
    """The root or the number of a list of clients is not well-formed.

    Give the root and the number of leaves, or neither for a campaign that is open to anybody."""
    TOO_MANY_LISTS = "TOO_MANY_LISTS"
    """A campaign's list of clients was replaced too often within its receipt window.

    Wait until the time that the error names."""
    BAD_SIMILARITY_LIMIT = "BAD_SIMILARITY_LIMIT"
    """A campaign's similarity limit is out of range.

    Use 500,000 to 999,999 millionths, or 0 for none."""
    UNKNOWN_CAMPAIGN = "UNKNOWN_CAMPAIGN"
    """There is no campaign with this id.

    Wait until the transaction that opens it is final, and use its hash."""
    NOT_THE_REQUESTER = "NOT_THE_REQUESTER"
    """Only the sender that opened a campaign may close it or change its list of clients.

    Sign with that key; for an account of several keys, prepare the transaction with `--policy`."""
    CAMPAIGN_CLOSED = "CAMPAIGN_CLOSED"
    """The campaign is closed.

    Open another one."""
    TASK_STILL_OPEN = "TASK_STILL_OPEN"
    """A task of the campaign is open.

    Wait until it is closed."""

    BAD_READERS = "BAD_READERS"
    """The readers of a private campaign are not well-formed, or the campaign lacks a list of
    clients.

    Give at most 64 different addresses in ascending order, and a list of clients."""
    NOT_PRIVATE = "NOT_PRIVATE"
    """The campaign was opened for everybody to read, so that it has no readers to replace.

    Open a new campaign with `private`."""
    BAD_RECEIPT_WINDOW = "BAD_RECEIPT_WINDOW"
    """The campaign's receipt window is out of range.

    Use 0, or a number of ms within the range that the error names."""

    # Receipts.
    NOT_THE_CLIENT = "NOT_THE_CLIENT"
    """A receipt is registered by another key than the client's.

    Sign with the key that signed the update."""
    NO_RECEIPTS = "NO_RECEIPTS"
    """The campaign was opened without a receipt window, so that its receipts have no effect.

    Take part in campaigns that have one."""
    BAD_RECEIPT = "BAD_RECEIPT"
    """What is registered is not the receipt of the campaign's server for this update.

    Send the receipt that the server answered to the update."""
    RECEIPTS_OVER = "RECEIPTS_OVER"
    """The time in which receipts of this round could be registered has passed.

    Register a receipt soon after the update was taken."""
    ALREADY_REGISTERED = "ALREADY_REGISTERED"
    """The client has registered a receipt for this round.

    Nothing is left to do."""
    NOTHING_OWED = "NOTHING_OWED"
    """The task held the client's update, or its round is not over, or its price was burned before.

    Register receipts of a round that is not over without a task id."""
    RECEIPTS_UNSETTLED = "RECEIPTS_UNSETTLED"
    """Clients have registered receipts for a round whose task was not opened.

    Open the task with their updates, or wait until the time that the error names."""
    CAMPAIGN_CLOSING = "CAMPAIGN_CLOSING"
    """The campaign closes by itself at the time that the error names.

    Wait for it."""
    RECEIPT_LEFT_OUT = "RECEIPT_LEFT_OUT"
    """The task does not hold the updates whose receipts are registered for its round.

    List the registered updates; a client lists no others."""

    # Tasks.
    TOO_MANY_TASKS = "TOO_MANY_TASKS"
    """As many tasks are open as the network allows, and this offer and fee displace none of them.

    Wait until a task is closed, raise `max_room_fee`, or open a campaign with a higher mining
    price."""
    NOT_THE_SERVER = "NOT_THE_SERVER"
    """Only the campaign's server, or later a client with a registered receipt, may open a task.

    Sign with the server's key, or wait until the time that the error names."""
    CLIENTS_TURN = "CLIENTS_TURN"
    """The server's task failed, so that only a client with a registered receipt may open the next.

    Wait until the time that the error names."""
    WRONG_ROUND = "WRONG_ROUND"
    """The task is not for the campaign's next round.

    Use the round that the error names."""
    WRONG_BASE = "WRONG_BASE"
    """The task starts from other weights than the rounds before it lead to.

    Start from a base that the error names."""
    NO_CLIENTS = "NO_CLIENTS"
    """The task lists no updates.

    Open a task only when clients have trained."""
    TOO_MANY_CLIENTS = "TOO_MANY_CLIENTS"
    """The task lists more updates than its schedule allows.

    Use another schedule, or fewer clients."""
    DUPLICATE_CLIENT = "DUPLICATE_CLIENT"
    """Two updates are by the same client.

    List one update for each client."""
    CLIENTS_OUT_OF_ORDER = "CLIENTS_OUT_OF_ORDER"
    """The updates are not sorted by address.

    Sort them in ascending order of the address' bytes."""
    UPDATE_OF_OTHER_CAMPAIGN = "UPDATE_OF_OTHER_CAMPAIGN"
    """An update was signed for another campaign.

    List only updates of the task's campaign."""
    UPDATE_OF_OTHER_ROUND = "UPDATE_OF_OTHER_ROUND"
    """An update was signed for another round.

    List only updates of the task's round."""
    CLIENT_NOT_LISTED = "CLIENT_NOT_LISTED"
    """A client of the task is not proved to be on the campaign's list of clients.

    Leave its update out, or have the requester add the client to the list."""
    TOO_MANY_EXAMPLES = "TOO_MANY_EXAMPLES"
    """A client claims more examples than the campaign's list of clients allows.

    Leave its update out, or have the requester raise its limit."""
    UPDATE_OF_OTHER_BASE = "UPDATE_OF_OTHER_BASE"
    """An update was trained from other weights than the task's base.

    List only updates that start from the base."""
    WRONG_SHARD = "WRONG_SHARD"
    """The evaluation set is not proved to be the campaign's shard for this round.

    Publish the shard and its Merkle path as the campaign committed to them."""
    BAD_UTILITY = "BAD_UTILITY"
    """The utility is not a known one, or not the one that the campaign promised.

    Use a value of `Utility`, in a task that of its campaign."""
    BAD_EMPTY_COALITION = "BAD_EMPTY_COALITION"
    """The rule for the empty coalition is not a known one.

    Use a value of `EmptyCoalition`."""
    BAD_AVERAGING = "BAD_AVERAGING"
    """The averaging of coalitions is not a known one, or not the one that goes with groups.

    Use a value of `Averaging`; AVERAGING_EQUAL in a campaign with a similarity limit."""
    BAD_GROUPS = "BAD_GROUPS"
    """A task's groups are not well-formed, divide equal updates, or are not due.

    Give each update the index of its group's first update, and equal updates one group; none in a
    campaign without a similarity limit."""
    WRONG_PRICES = "WRONG_PRICES"
    """The prices are not those that the campaign's budget gives for this round.

    Use the prices that the error names."""
    BAD_WINDOW = "BAD_WINDOW"
    """A time window of the task is out of range.

    Use a window within the range that the error names, in ms."""
    BAD_ATTEMPTS = "BAD_ATTEMPTS"
    """The number of attempts is 0 or above the limit.

    Use a number within the range that the error names."""

    # Mining.
    UNKNOWN_TASK = "UNKNOWN_TASK"
    """There is no task with this id.

    Wait until the transaction that opens it is final, and use its hash."""
    NOT_A_MINER = "NOT_A_MINER"
    """The sender had no bond when the task was opened, or the bond was slashed since, or the sender
    has declined the task.

    Bond at least the minimum before the next task is opened."""
    TOO_EARLY = "TOO_EARLY"
    """The task has not reached the phase or the attempt for this transaction.

    Wait for it."""
    TOO_LATE = "TOO_LATE"
    """The task has left the phase or the attempt for this transaction.

    Nothing for this attempt; the next task is another chance."""
    WRONG_DEPOSIT = "WRONG_DEPOSIT"
    """The deposit is not the amount that the task demands.

    Deposit exactly the limit, in sap."""
    ALREADY_COMMITTED = "ALREADY_COMMITTED"
    """This miner has committed in this attempt already.

    Nothing: the first commitment counts."""
    NOT_COMMITTED = "NOT_COMMITTED"
    """This miner has not committed in this attempt.

    Commit first, while the task takes commitments."""
    NOT_OPENED = "NOT_OPENED"
    """This miner did not open its commitment in time.

    Nothing for this attempt; the next task is another chance."""
    ALREADY_REVEALED = "ALREADY_REVEALED"
    """This miner has opened or revealed already.

    Nothing: the first one counts."""
    WRONG_OPENING = "WRONG_OPENING"
    """Salt and evidence do not hash to this miner's commitment.

    Use the salt and the evidence that were committed to."""

    # Blocks.
    WRONG_HEIGHT = "WRONG_HEIGHT"
    """The block's height is not one more than the chain's.

    Nothing: the block is old, or comes too early."""
    WRONG_PARENT = "WRONG_PARENT"
    """The block does not follow on the latest block.

    Build on the latest block."""
    WRONG_TIME = "WRONG_TIME"
    """The block's time is not after its parent's.

    Use a time of at least the limit, in Unix ms."""
    TIME_TOO_FAR_AHEAD = "TIME_TOO_FAR_AHEAD"
    """The block's time is too far ahead of this node's clock.

    Set the clocks of the validators."""
    WRONG_PROPOSER = "WRONG_PROPOSER"
    """The block names another proposer than the one whose turn the block's round was.

    Propose only when it is this key's turn, and name its address."""
    WRONG_BLOCK_ROUND = "WRONG_BLOCK_ROUND"
    """The block was built for a later round than the one that it was proposed or decided in.

    Take the block from another peer."""
    UNEXPECTED_CERTIFICATE = "UNEXPECTED_CERTIFICATE"
    """The first block has a certificate of its parent, although genesis has none.

    Leave it empty."""
    WRONG_SETTLEMENT = "WRONG_SETTLEMENT"
    """The header's settlement is not the one that executing the block gives.

    Execute the block with the version of the program that the network runs."""
    WRONG_RECEIPTS_ROOT = "WRONG_RECEIPTS_ROOT"
    """The header's receipts root is not the root of what executing the block gives.

    Execute the block with the version of the program that the network runs."""
    WRONG_VALIDATORS_HASH = "WRONG_VALIDATORS_HASH"
    """The header's validators are not those that executing the block gives.

    Execute the block with the version of the program that the network runs."""
    WRONG_APP_HASH = "WRONG_APP_HASH"
    """The header's state hash is not that of the state after the block, or a snapshot does
    not lead to it.

    Execute the block with the version of the program that the network runs; take a snapshot
    from another node."""

    # Snapshots.
    WRONG_CHUNK = "WRONG_CHUNK"
    """A snapshot's chunk does not belong to the state hash, or comes out of order.

    Take the snapshot from another node."""
    WRONG_SUPPLY = "WRONG_SUPPLY"
    """The coins in a snapshot do not add up to those that genesis made.

    Take the snapshot from another node."""

    # The mempool.
    ALREADY_PENDING = "ALREADY_PENDING"
    """The same transaction waits in the mempool already.

    Nothing: it was accepted before."""
    REPLACEMENT_UNDERPRICED = "REPLACEMENT_UNDERPRICED"
    """Another transaction of the sender with this nonce waits, and this one does not pay
    enough more.

    Pay at least the limit to replace it, or sign with the next nonce."""
    REPLACED = "REPLACED"
    """The sender replaced this transaction by one that pays more.

    Nothing: follow the one that the error names."""
    TOO_MANY_PENDING = "TOO_MANY_PENDING"
    """Too many transactions of this sender wait.

    Wait for a block."""
    POOL_FULL = "POOL_FULL"
    """The mempool is full, and the transaction pays less for each byte than those that wait.

    Pay the fee that the error names, or try again later."""
    EVICTED = "EVICTED"
    """The mempool was full, and transactions that pay more for each byte took this one's place.

    Sign it again with a higher fee: `GetFees` says which is enough."""
    HELD_TOO_LONG = "HELD_TOO_LONG"
    """The transaction could not be applied for many blocks and was dropped.

    Correct what the error names, and sign again."""


PREMATURE_CODES: Final = frozenset(
    {
        LedgerCode.NONCE_TOO_HIGH,
        LedgerCode.EXPIRY_TOO_FAR,
        LedgerCode.INSUFFICIENT_BALANCE,
        LedgerCode.UNKNOWN_CAMPAIGN,
        LedgerCode.TASK_STILL_OPEN,
        LedgerCode.UNKNOWN_TASK,
        LedgerCode.TOO_EARLY,
    }
)
"""Codes that may be due to a block which this node lacks: a mempool can hold such a transaction
until that block has come."""
