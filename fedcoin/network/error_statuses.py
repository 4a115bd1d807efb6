"""The gRPC status of each error code: one table for the codes of all layers.

The layers below cannot know gRPC, and the application layer cannot be imported here, so the table
goes by names: the layer's, then the code's. Two layers may use one name with different statuses. A
test compares the table with every layer's enum.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final

from grpc import StatusCode

# INVALID_ARGUMENT: the request itself is wrong; sending it again can never help.
# FAILED_PRECONDITION: the request is right, but chain, campaign or node are in another state.
_TABLE: Final[Mapping[str, Mapping[StatusCode, str]]] = {
    "data": {
        StatusCode.INVALID_ARGUMENT: """
            MALFORMED UNKNOWN_ACTION WRONG_CHAIN BAD_SIGNATURE BAD_ADDRESS BAD_AMOUNT
            BAD_POLICY TOO_FEW_SIGNATURES
            BAD_KEY BAD_KEY_FILE WRONG_PASSPHRASE BAD_ROOT BAD_ARTIFACT BAD_CHUNK BAD_TENSOR
            BAD_GENESIS BAD_SNAPSHOT
        """,
        StatusCode.NOT_FOUND: "UNKNOWN_ARTIFACT",
        StatusCode.RESOURCE_EXHAUSTED: "TOO_LARGE STORE_FULL",
        StatusCode.FAILED_PRECONDITION: "NEWER_STORE OTHER_LAYOUT OTHER_PROTOCOL VOTES_MISSING "
        "CONFLICTING_VOTE",
        StatusCode.DATA_LOSS: "BAD_STORE",
    },
    "learning": {
        StatusCode.INVALID_ARGUMENT: """
            BAD_MODEL MODEL_TOO_LARGE TOO_SLOW FORBIDDEN_LAYER UNKNOWN_MODEL
            WRONG_NAMES WRONG_SHAPE WRONG_DTYPE NOT_FINITE OUT_OF_RANGE LABEL_OUT_OF_RANGE
            UNFIT_MEASURE WRONG_SIZE WRONG_AGGREGATE WRONG_GROUPS NO_CLIENTS BAD_SAMPLES
            BAD_COALITIONS
            UNKNOWN_DATASET BAD_DATASET BAD_SHARE BAD_PARTITION BAD_PLAN NOT_TRAINABLE
            UNREADABLE_FILE BAD_FORMAT
        """,
        StatusCode.NOT_FOUND: "UNKNOWN_JOB NO_FILE",
        StatusCode.RESOURCE_EXHAUSTED: "OVERDUE",
        StatusCode.FAILED_PRECONDITION: "MISSING_PACKAGE",
    },
    "incentive": {
        StatusCode.INVALID_ARGUMENT: """
            BAD_PLAN MALFORMED BAD_SAMPLES BAD_UTILITY WRONG_LEAVES WRONG_SIBLINGS
            SUM_OUT_OF_RANGE SUM_NOT_EFFICIENT WRONG_TOTAL WRONG_ROOT AUDIT_FAILED BAD_SPLIT
        """,
    },
    "shapley": {
        StatusCode.INVALID_ARGUMENT: """
            BAD_GAME BAD_METHOD BAD_BUDGET BAD_WEIGHTS BAD_TOLERANCE BAD_ROUNDS BAD_NAMES
        """,
        StatusCode.FAILED_PRECONDITION: "NOT_EVALUATED NO_PANDAS",
    },
    "consensus": {
        StatusCode.INVALID_ARGUMENT: """
            BAD_CERTIFICATE BAD_LOCK WRONG_HEIGHT WRONG_PROPOSER WRONG_VALID_ROUND WRONG_BLOCK_ROUND
        """,
        StatusCode.FAILED_PRECONDITION: "NOT_A_VALIDATOR",
    },
    "contract": {
        StatusCode.INVALID_ARGUMENT: """
            NEEDS_ONE_KEY FEE_TOO_LOW ZERO_AMOUNT AMOUNT_OVERFLOW
            NO_OUTPUTS TOO_MANY_OUTPUTS BAD_RECIPIENT
            BOND_TOO_SMALL NOT_CONTRADICTING
            BAD_SERVER BAD_HASH BAD_ROUNDS BUDGET_TOO_SMALL BAD_SPREAD BAD_PRICE_SPLIT
            BAD_MINING_REWARD BAD_TRAINING_REWARD BAD_SHARDS BAD_CLIENT_LIST BAD_SIMILARITY_LIMIT
            CLIENT_NOT_LISTED TOO_MANY_EXAMPLES BAD_RECEIPT BAD_READERS BAD_RECEIPT_WINDOW
            RECEIPT_LEFT_OUT
            NO_CLIENTS TOO_MANY_CLIENTS DUPLICATE_CLIENT CLIENTS_OUT_OF_ORDER
            UPDATE_OF_OTHER_CAMPAIGN UPDATE_OF_OTHER_ROUND UPDATE_OF_OTHER_BASE WRONG_SHARD
            BAD_UTILITY BAD_EMPTY_COALITION BAD_AVERAGING WRONG_PRICES BAD_WINDOW BAD_ATTEMPTS
            BAD_GROUPS WRONG_DEPOSIT WRONG_OPENING
            WRONG_HEIGHT WRONG_PARENT WRONG_TIME TIME_TOO_FAR_AHEAD WRONG_PROPOSER WRONG_BLOCK_ROUND
            UNEXPECTED_CERTIFICATE WRONG_SETTLEMENT WRONG_RECEIPTS_ROOT WRONG_VALIDATORS_HASH
            WRONG_APP_HASH WRONG_CHUNK WRONG_SUPPLY
        """,
        StatusCode.FAILED_PRECONDITION: """
            NONCE_TOO_LOW NONCE_TOO_HIGH EXPIRED EXPIRY_TOO_FAR INSUFFICIENT_BALANCE
            BOND_LEFT_TOO_SMALL INSUFFICIENT_BOND TOO_MANY_VALIDATORS TOO_MANY_UNBONDINGS
            LAST_VALIDATOR ALREADY_SLASHED NOT_SLASHABLE
            UNKNOWN_CAMPAIGN NOT_THE_REQUESTER NOT_PRIVATE CAMPAIGN_CLOSED TASK_STILL_OPEN
            NOT_THE_SERVER CLIENTS_TURN WRONG_ROUND WRONG_BASE
            NOT_THE_CLIENT NO_RECEIPTS RECEIPTS_OVER RECEIPTS_UNSETTLED CAMPAIGN_CLOSING
            UNKNOWN_TASK NOT_A_MINER TOO_EARLY TOO_LATE ALREADY_COMMITTED NOT_COMMITTED NOT_OPENED
            ALREADY_REVEALED ALREADY_REGISTERED NOTHING_OWED
            ALREADY_PENDING REPLACEMENT_UNDERPRICED REPLACED HELD_TOO_LONG
        """,
        StatusCode.RESOURCE_EXHAUSTED: """
            TOO_MANY_PENDING POOL_FULL EVICTED TOO_MANY_TASKS TOO_MANY_LISTS BLOCK_FULL
        """,
    },
    "network": {
        StatusCode.INVALID_ARGUMENT: """
            MALFORMED BAD_PAGE_TOKEN BAD_SELECTOR CHUNK_OUT_OF_ORDER
            BAD_HOST BAD_LOG_LEVEL BAD_PATH BAD_TOKEN_FILE
        """,
        StatusCode.FAILED_PRECONDITION: """
            WRONG_CHAIN WRONG_GENESIS WRONG_PROTOCOL SELF_CONNECTION WRONG_PEER
            WRONG_ADDRESS WRONG_CERTIFICATE BAD_TLS_FILES
            NOT_SECURE PORT_IN_USE DROPPED
        """,
        StatusCode.NOT_FOUND: """
            BLOCK_NOT_FOUND HISTORY_NOT_KEPT SNAPSHOT_NOT_FOUND
            TRANSACTION_NOT_FOUND CAMPAIGN_NOT_FOUND TASK_NOT_FOUND
            PAYMENT_NOT_FOUND EVIDENCE_NOT_FOUND ARTIFACT_NOT_FOUND PEER_NOT_CONNECTED
        """,
        StatusCode.ALREADY_EXISTS: "FILE_EXISTS",
        StatusCode.OUT_OF_RANGE: "OUT_OF_RANGE",
        StatusCode.UNAUTHENTICATED: """
            BAD_PROOF BAD_NONCE NO_SESSION NO_TOKEN BAD_TOKEN BAD_READER_PROOF
        """,
        StatusCode.PERMISSION_DENIED: "BANNED KEY_REFUSED NOT_ALLOWED NOT_A_READER",
        StatusCode.RESOURCE_EXHAUSTED: """
            NO_ROOM TOO_LARGE RATE_LIMITED TOO_MANY_CALLS SLOW_READER TOO_MANY_BACKUPS
        """,
        StatusCode.DEADLINE_EXCEEDED: "TIMED_OUT",
        StatusCode.UNAVAILABLE: "PEER_UNREACHABLE NOT_SERVING SHUTTING_DOWN",
    },
    "application": {
        StatusCode.INVALID_ARGUMENT: """
            BAD_ARGUMENT DUPLICATE_CLIENT BAD_CONFIG UNKNOWN_SETTING NO_PASSPHRASE
            BAD_PASSPHRASE_FILE WRONG_CAMPAIGN WRONG_BASE
            BAD_POLICY_FILE BAD_TRANSACTION_FILE NOT_A_SIGNER OTHER_TRANSACTION
        """,
        StatusCode.FAILED_PRECONDITION: """
            EXPOSED HOME_IN_USE ARCHIVE PORT_IN_USE NOT_REPLACEABLE
            WRONG_NETWORK OTHER_PROTECTION NO_GENESIS PROCESS_FAILED DISAGREEMENT
            CAMPAIGN_FINISHED ROUND_NOT_OPEN WRONG_ROUND WEIGHTS_MISSING GAVE_UP
            UNMINED_ROUND NOT_ANNOUNCED NOT_LISTED LEFT_OUT HARMFUL_UPDATE TOO_MANY_DOWNLOADS
            OTHER_SETTINGS PROGRAM_FAILED CAMPAIGN_ENDED TASK_FAILED TASK_GAVE_WAY
            BAD_CERTIFICATE CERTIFICATE_EXPIRED CERTIFICATE_NOT_YET_VALID
        """,
        StatusCode.NOT_FOUND: """
            NO_FILE NO_UPDATES NO_HOME NO_CHAIN NO_SNAPSHOT NO_KEY NOT_REGISTERED NO_RECEIPT
        """,
        StatusCode.UNAVAILABLE: "PEERS_AWAY SIGNER_AWAY",
        StatusCode.PERMISSION_DENIED: "SIGNER_REFUSED",
        StatusCode.ALREADY_EXISTS: """
            CHAIN_EXISTS HOME_EXISTS KEY_EXISTS ALREADY_SUBMITTED ALREADY_SIGNED
        """,
        StatusCode.RESOURCE_EXHAUSTED: "CAMPAIGN_FULL",
        StatusCode.DATA_LOSS: "BAD_CHAIN BAD_STATE BAD_RECEIPT",
        StatusCode.INTERNAL: "OS_ERROR INTERNAL STORE_FAILED NODE_FAILED WORKER_FAILED",
    },
}

LAYERS: Final = tuple(_TABLE)
"""The layers that have codes, the lowest first."""

STATUS_OF: Final[Mapping[tuple[str, str], StatusCode]] = MappingProxyType(
    {
        (layer, name): status
        for layer, statuses in _TABLE.items()
        for status, names in statuses.items()
        for name in names.split()
    }
)
"""The status of each code, by the names of its layer and of itself."""


def status_of(code: Enum) -> StatusCode:
    """Look up the status of a code.

    Args:
        code: A member of any layer's enum of codes.

    Returns:
        The status; UNKNOWN for a code that is missing in the table.
    """
    return STATUS_OF.get((layer_of(code), code.name), StatusCode.UNKNOWN)


def layer_of(code: Enum) -> str:
    """Name the layer that a code belongs to.

    Args:
        code: A member of any layer's enum of codes.

    Returns:
        The layer's package within `fedcoin`, such as `contract`.
    """
    return type(code).__module__.split(".")[1]
