"""Codes of the refusals of the application layer.

A code's value is its name. Its text says what happened and, after a blank line, what to do.
`scripts/tools/write_error_codes.py` copies both into docs/API.md, with the code's gRPC status from
`network/error_statuses.py`.
"""

from __future__ import annotations

from enum import Enum


class ApplicationCode(str, Enum):
    """Why a command, a setting, a home or a client of a campaign was refused."""

    # Commands and settings.
    BAD_ARGUMENT = "BAD_ARGUMENT"
    """The value of an option is not allowed, or does not fit the others.

    Correct the option that the error names."""
    NO_FILE = "NO_FILE"
    """There is no such file, or it cannot be read or made.

    Check the path."""
    NO_UPDATES = "NO_UPDATES"
    """The folder of the clients' weights is missing or has none.

    Put one file of weights for each client there."""
    DUPLICATE_CLIENT = "DUPLICATE_CLIENT"
    """Two files hold the weights of the same client.

    Keep one of them."""
    BAD_CONFIG = "BAD_CONFIG"
    """A setting holds a value that is not allowed, or the configuration file is not valid
    TOML.

    Correct the setting or the line that the error names."""
    UNKNOWN_SETTING = "UNKNOWN_SETTING"
    """There is no such setting.

    Check its spelling against docs/OPERATIONS.md."""
    EXPOSED = "EXPOSED"
    """A listener without TLS is on an address that other machines reach.

    Set the files of `[tls]`, listen on loopback, or allow plaintext with `--insecure`."""

    BAD_CERTIFICATE = "BAD_CERTIFICATE"
    """A file holds no certificate or request, or an authority cannot sign it.

    Correct what the error names; `fedcoin-node tls show` prints what a certificate says."""
    CERTIFICATE_EXPIRED = "CERTIFICATE_EXPIRED"
    """The certificate is not valid any more.

    Renew it with `fedcoin-node tls renew`, or correct the clock of this machine."""
    CERTIFICATE_NOT_YET_VALID = "CERTIFICATE_NOT_YET_VALID"
    """The certificate is not valid yet.

    Correct the clock of this machine, or wait."""

    OS_ERROR = "OS_ERROR"
    """The operating system refused something, such as reading a file.

    Correct what the error names."""
    INTERNAL = "INTERNAL"
    """The program has a bug.

    Report it, with the traceback."""

    # Homes.
    NO_HOME = "NO_HOME"
    """The folder that `--home` or FEDCOIN_HOME names is missing, or is not a home.

    Name another folder, or make a home with `fedcoin-node init`."""
    NO_CHAIN = "NO_CHAIN"
    """The home holds no chain yet.

    Run `fedcoin-node start` once."""
    CHAIN_EXISTS = "CHAIN_EXISTS"
    """The home has a chain already.

    Use another home, or move its database away."""
    NO_SNAPSHOT = "NO_SNAPSHOT"
    """The snapshot that the chain started from is missing.

    Copy the file from a node that has it."""
    ARCHIVE = "ARCHIVE"
    """The home is an archive, which keeps all blocks.

    Set `storage.archive = false` to delete some."""
    HOME_EXISTS = "HOME_EXISTS"
    """The folder is a home already, or is not empty.

    Choose another folder."""
    HOME_IN_USE = "HOME_IN_USE"
    """Another process uses this home.

    Stop it, or choose another home."""
    PORT_IN_USE = "PORT_IN_USE"
    """There are not enough free ports for a devnet.

    Stop other programs, or use fewer miners."""
    NO_KEY = "NO_KEY"
    """The home has no key of this name.

    Make it with `fedcoin-node keys new`, or use one that the error lists."""
    KEY_EXISTS = "KEY_EXISTS"
    """The home has a key of this name already.

    Choose another name."""
    NO_PASSPHRASE = "NO_PASSPHRASE"  # noqa: S105 - a code, not a secret
    """The key is encrypted, and no passphrase was given.

    Set FEDCOIN_PASSPHRASE, or give `--passphrase-file`."""
    BAD_POLICY_FILE = "BAD_POLICY_FILE"
    """A file is not that of an account of several keys, or its address is not that of its keys.

    Write it with `fedcoin-node keys policy create`."""
    BAD_TRANSACTION_FILE = "BAD_TRANSACTION_FILE"
    """A file is not a prepared transaction, or its words do not say what its bytes do.

    Sign nothing; ask its author for the file again."""
    NOT_A_SIGNER = "NOT_A_SIGNER"
    """A key that is not the account's has signed, or is to sign, a transaction.

    Sign with one of the account's keys."""
    ALREADY_SIGNED = "ALREADY_SIGNED"
    """A key has signed a prepared transaction already.

    Have another key of the account sign; each counts once."""
    OTHER_TRANSACTION = "OTHER_TRANSACTION"
    """The files to be combined are not copies of one prepared transaction.

    Combine copies of one file alone."""
    BAD_PASSPHRASE_FILE = "BAD_PASSPHRASE_FILE"  # noqa: S105 - a code, not a secret
    """The passphrase file is empty, too large, not text, or open to others than its owner.

    Write the passphrase into a file of its own with mode 0600 (`chmod 600`)."""

    # Nodes and wallets.
    PEERS_AWAY = "PEERS_AWAY"
    """A validator without a record of its votes may be behind its peers, and signs nothing yet.

    It votes when a peer is connected and none claims to have more blocks, or when validators that
    have no more are connected and hold more than 2/3 of the power with it; check `peers.seeds`, and
    list a peer that lies in `peers.refused_keys`."""
    SIGNER_AWAY = "SIGNER_AWAY"
    """The process that holds a validator's key (`miner.signer`) cannot be reached, or answers
    nonsense.

    Start `fedcoin-node signer`; votes that are still wanted are signed then."""
    SIGNER_REFUSED = "SIGNER_REFUSED"
    """The process that holds a validator's key does not sign this.

    Sign payments and bonds with the key itself, on the signer's machine; compare the genesis
    files."""
    NOT_REPLACEABLE = "NOT_REPLACEABLE"
    """The transaction that is to be replaced no longer waits, or has another sender.

    Send a new one without `--replace`."""
    WRONG_NETWORK = "WRONG_NETWORK"
    """The node or coordinator belongs to another network than the home.

    Use one of the home's network, or the home of its network."""
    OTHER_PROTECTION = "OTHER_PROTECTION"
    """Only one of client and coordinator speaks TLS.

    Set the files of `[tls]` on both sides, or on neither."""
    NO_GENESIS = "NO_GENESIS"
    """The home does not know the genesis of its network, which its signatures cover.

    Give `--genesis` with the network's genesis.json or its SHA-256."""
    BAD_CHAIN = "BAD_CHAIN"
    """The stored chain breaks its own rules.

    Move the database away and let the node fetch the chain again."""
    STORE_FAILED = "STORE_FAILED"
    """The database could not be read or written: a full disk, or a file that changed meanwhile.

    Correct what the error names, and start again."""
    NODE_FAILED = "NODE_FAILED"
    """The node could not store, sync, vote or mine, when it started or later (exit code 3).

    Correct the cause that the last log line names, such as a full disk, and start it again."""
    WORKER_FAILED = "WORKER_FAILED"
    """A worker process died, could not start, or has a bug.

    Read the end of its output, which the error shows."""
    PROGRAM_FAILED = "PROGRAM_FAILED"
    """The program of `train client --command` failed, took too long, or wrote no update.

    Read its last lines, which the error shows, and run it by hand on a folder of its own."""
    PROCESS_FAILED = "PROCESS_FAILED"
    """A process ended or failed: a worker of this node, or a part of a devnet.

    Read the end of its log, which the error shows."""
    DISAGREEMENT = "DISAGREEMENT"
    """The devnet's nodes ended in different states, or coins were made or lost.

    Report it as a bug, with the folder of `--keep`."""

    # Campaigns.
    CAMPAIGN_FINISHED = "CAMPAIGN_FINISHED"
    """The campaign is over, or was closed by its requester.

    Join another one; the coordinator's operator begins one with `--new-campaign`."""
    CAMPAIGN_ENDED = "CAMPAIGN_ENDED"
    """The campaign ended before its last round, and the rest of its budget is returned.

    Ask the coordinator's operator; its log says why."""
    TASK_FAILED = "TASK_FAILED"
    """All attempts to mine the task failed, and nobody was paid.

    See that miners run and that the mining price suits the work, and open it again."""
    TASK_GAVE_WAY = "TASK_GAVE_WAY"
    """The task made way for one with a better offer before a miner took it up.

    Open it again with a higher mining price, or later."""
    CAMPAIGN_FULL = "CAMPAIGN_FULL"
    """The campaign has as many clients as its settings allow.

    Join another one, or raise `coordinator.max_clients`."""
    TOO_MANY_DOWNLOADS = "TOO_MANY_DOWNLOADS"
    """This node has downloaded for several other tasks of this round or requester, in no block yet.

    Let one of them open the task, or name artifacts that the network has already."""
    LEFT_OUT = "LEFT_OUT"
    """The client's updates have made the model much worse in earlier rounds of the campaign.

    Look at your data and its labels; the coordinator's operator can raise
    `coordinator.max_harm`."""
    HARMFUL_UPDATE = "HARMFUL_UPDATE"
    """The update alone makes the round's model much worse, so that the coordinator refuses it.

    Look at your data's labels and scale, or hand in a smaller change: fewer epochs, or a lower
    learning rate. The coordinator's operator can raise `coordinator.max_update_harm`."""
    NOT_LISTED = "NOT_LISTED"
    """The campaign has a list of clients that does not hold this one, or allows it fewer examples.

    Ask the coordinator's operator to add the client to the list (`coordinator.clients_file`, or
    `task clients set`)."""
    BAD_RECEIPT = "BAD_RECEIPT"
    """A coordinator's receipt for an update is missing, is for something else, or was signed by
    another key than the campaign's server.

    Hand in no more updates to this coordinator."""
    NO_RECEIPT = "NO_RECEIPT"
    """There is no receipt with which a client could have the round valued.

    Look at `task receipts list`, and at the campaign's next round."""
    NOT_REGISTERED = "NOT_REGISTERED"
    """The client has not registered for the campaign.

    Register first."""
    ROUND_NOT_OPEN = "ROUND_NOT_OPEN"
    """The round does not accept updates at this time.

    Wait for the next round."""
    WRONG_CAMPAIGN = "WRONG_CAMPAIGN"
    """The update was signed for another campaign.

    Register again, and train for the present campaign."""
    WRONG_ROUND = "WRONG_ROUND"
    """The update was signed for another round.

    Train for the present round."""
    WRONG_BASE = "WRONG_BASE"
    """The update was trained from other weights than the round's base.

    Train from the base that `WatchRounds` names."""
    NOT_ANNOUNCED = "NOT_ANNOUNCED"
    """The weights or the update are not what the client announced for the open round.

    Announce the signed update, then upload its weights and hand it in."""
    WEIGHTS_MISSING = "WEIGHTS_MISSING"
    """The update's weights have not been uploaded to the coordinator.

    Upload them, then hand in the update again."""
    ALREADY_SUBMITTED = "ALREADY_SUBMITTED"
    """The client has handed in another update for the same round.

    Nothing: the first one counts."""
    BAD_STATE = "BAD_STATE"
    """The saved state of a campaign or a simulation is damaged or incomplete, or the folder
    for a new simulation is not empty.

    Restore it, or move it away to begin again."""
    OTHER_SETTINGS = "OTHER_SETTINGS"
    """The home's campaign was begun with other settings than those that are given.

    Start it with the settings that the error names; begin another campaign with
    `--new-campaign` once it is finished, or close it with `task close`."""
    GAVE_UP = "GAVE_UP"
    """No client came in time, so the coordinator closed the campaign, unless several people pay it.

    Start it again when the clients are there; `coordinator.join_seconds` is how long it
    waits. A campaign that several people pay stays open until they close it."""
    UNMINED_ROUND = "UNMINED_ROUND"
    """The tasks of a round failed ten times without work by miners. Registered receipts wait for
    another one.

    See that miners run and that the mining price suits the work, and start the coordinator
    again."""
