"""Keep a validator silent while its database may lack votes that its key has signed.

A database that was restored from a copy, or is empty, knows nothing of the votes that were cast
after the copy. If the validator voted at once, it could contradict them and lose its bond. So:

* If the mark beside the key (`data.storage.vote_mark`) names a vote that the database lacks, the
  validator is silent below the height that the mark has leased.
* If there is no mark, but the note of an unused key (`data.storage.unused_key`), the key has
  signed nothing, unless a copy of it has: where no late certificate holds a vote of the key, the
  validator votes as soon as it is as far as its peers. The first vote's mark ends the note.
* If there is neither, it is silent until a block is final that was made after the node started:
  the key signed nothing above that block's height before the start. A key that was bonded after
  the start has signed nothing before.
* At genesis, where nothing can have been signed, it needs no mark. It waits for a first peer,
  unless the others cannot have made a block without it, and while a peer claims to have blocks:
  either they come, or the peer leaves, or enough validators are there that have none
  (`guarded_signer.weigh_claims`).

The operator may override this, for a network in which all validators were restored.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Final

from fedcoin.application.errors import ApplicationCode
from fedcoin.contract.blocks.validation import compute_clock_bound
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages.genesis import Genesis
from fedcoin.data.storage.unused_key import UnusedKeyFile
from fedcoin.data.storage.vote_log import OwnVote, VoteLog
from fedcoin.data.storage.vote_mark import VoteMark, VoteMarkFile
from fedcoin.v1.block_pb2 import BlockHeader

log = logging.getLogger(__name__)

LEASED_HEIGHTS: Final = 20
"""How many heights ahead the mark is written, and synced."""
_RENEWED_HEIGHTS: Final = 10
"""When this many heights are left, the mark is written and synced in a thread: all validators reach
the end of a lease at the same height, and a block would wait for all of their disks."""

_RENEWING: Final = ThreadPoolExecutor(1, thread_name_prefix="vote-mark")


@dataclass(frozen=True, slots=True)
class ChainSight:
    """What a guard sees of the chain and the network."""

    header: Callable[[], BlockHeader | None]
    """Returns the header of the latest final block; None before the first."""
    peers_height: Callable[[], int | None]
    """Returns the chain's height, as connected peers claim it; None without peers."""
    bonded_ms: Callable[[], int]
    """Returns the time of the block after which the key is a validator, Unix ms; 0 if unknown."""
    is_alone: bool = False
    """Whether the genesis gives the key more than 2/3 of the power, so that peers may be missing
    for good."""
    has_signed: Callable[[], bool] = lambda: False
    """Returns whether a certificate of a late block holds a vote of the key."""


class SigningGuard:
    """Decides from which height on a key signs, and keeps its mark.

    Args:
        file: The mark of the key in this network.
        votes: The votes in the node's database.
        genesis: The network's genesis.
        sight: What the guard sees of chain and network.
        started_ms: When the node started, Unix ms.
        unused: The note that the key has signed nothing; None when the key is elsewhere.
        override: Sign at once, whatever the database lacks.
    """

    def __init__(
        self,
        file: VoteMarkFile,
        votes: VoteLog,
        genesis: Genesis,
        sight: ChainSight,
        started_ms: int,
        *,
        unused: UnusedKeyFile | None = None,
        override: bool = False,
    ) -> None:
        self._file = file
        self._votes = votes
        self._drift_ms = genesis.parameters.max_clock_drift_ms
        self._sight = sight
        self._started_ms = started_ms
        self._mark = file.read()
        # Below this height the mark on disk covers what is signed.
        self._leased = self._mark.leased if self._mark is not None else 0
        self._must_sync = False
        # Held while the mark is changed and written; the thread that renews it does so, too.
        self._writing = threading.Lock()
        self._renewal: Future[None] | None = None
        self._is_new = self._mark is None and not file.exists()
        self._unused = unused
        self._is_sure = override or self._holds_latest()
        if override and not self._holds_latest():
            log.warning("this validator votes although its record of votes may be incomplete")

    def may_sign(self, height: int) -> bool:
        """Tell whether the key may sign at a height.

        Args:
            height: The height that is being decided.

        Returns:
            False while the database may lack votes of this height.
        """
        if self._is_sure:
            return True
        if self._mark is not None:
            return height >= self._mark.leased
        header = self._sight.header()
        if header is None:
            return self._is_new
        return self._has_passed(height, header) or self._has_signed_nothing()

    def explain(self) -> str:
        """Explain in a sentence why the validator is silent, and until when."""
        if self._mark is not None:
            return (
                f"the database lacks a {self._mark.kind} at height {self._mark.height} that this "
                f"key has signed; it votes from height {self._mark.leased} on"
            )
        return (
            f"there is no {self._file.path.name} that says what this key has signed; it votes when "
            "a block is final that was made after this node started (if the key has never signed, "
            "or all validators wait, see Backup and restore in docs/OPERATIONS.md)"
        )

    def prepare(self, height: int) -> None:
        """Make sure that the mark covers a height, before anything is signed at it. Blocks.

        Args:
            height: The height that is being decided.

        Raises:
            RefusalError: VOTES_MISSING when the key may not sign at this height; PEERS_AWAY when
                the chain may have blocks that this node has not.
        """
        if not self.may_sign(height):
            raise RefusalError(DataCode.VOTES_MISSING, self.explain(), field="height")
        if self._may_be_behind(height):
            claimed = self._sight.peers_height()
            seen = "no peer is connected" if claimed is None else f"a peer claims {claimed} blocks"
            raise RefusalError(
                ApplicationCode.PEERS_AWAY,
                f"this node has {height - 1} blocks, {seen}, and no record says what this key has"
                " signed: it votes when a peer is connected and none claims more blocks",
                field="height",
            )
        if self._unused is not None:
            # Before the first vote: with the note, a mark that is lost would look like a new key.
            self._unused.consume()
            self._unused = None
        if height >= self._leased and self._renewal is not None:
            # If it failed, this raises what it raised.
            self._renewal.result()
        if height >= self._leased:
            with self._writing:
                mark = replace(self._mark or VoteMark(0), leased=height + LEASED_HEIGHTS)
                self._file.lease(mark)
                self._mark, self._leased = mark, mark.leased
            self._must_sync = True
        self._is_sure = True

    def note(self, vote: OwnVote) -> None:
        """Write down the latest vote; call it when the vote is in the database. Blocks.

        Args:
            vote: A signed vote of a height that `prepare` covered.
        """
        assert self._mark is not None, "nothing is signed before `prepare`"
        with self._writing:
            self._mark = replace(self._mark, kind=vote.kind, height=vote.height, round=vote.round)
            # The first vote of a lease is synced, so that a power cut leaves a mark that names a
            # vote. One that is renewed names one already.
            if self._must_sync:
                self._file.lease(self._mark)
            else:
                self._file.note(self._mark)
        self._must_sync = False
        is_renewing = self._renewal is not None and not self._renewal.done()
        if vote.height + _RENEWED_HEIGHTS >= self._leased and not is_renewing:
            self._renewal = _RENEWING.submit(self._renew, vote.height + LEASED_HEIGHTS)

    def _renew(self, leased: int) -> None:
        """Write a mark with a higher lease and sync it. For the thread that renews."""
        with self._writing:
            assert self._mark is not None, "what is renewed was leased"
            self._mark = replace(self._mark, leased=leased)
            self._file.note(self._mark)
        self._file.sync()
        self._leased = leased

    def _has_passed(self, height: int, header: BlockHeader) -> bool:
        """Tell whether the chain has passed everything that the key can have signed before."""
        if self._sight.bonded_ms() > self._started_ms:
            return True
        ahead_ms = 2 * compute_clock_bound(self._drift_ms, header.round)
        return height > header.height and header.time_ms > self._started_ms + ahead_ms

    def _has_signed_nothing(self) -> bool:
        is_unused = self._is_new and self._unused is not None and self._unused.holds()
        return is_unused and not self._sight.has_signed()

    def _may_be_behind(self, height: int) -> bool:
        """Tell whether the chain may have further blocks, where the key may have signed."""
        if self._is_sure or self._mark is not None:
            return False
        header = self._sight.header()
        if header is not None and self._has_passed(height, header):
            return False
        claimed = self._sight.peers_height()
        return not self._sight.is_alone if claimed is None else claimed >= height

    def _holds_latest(self) -> bool:
        mark = self._mark
        if mark is None:
            return False
        if not mark.kind:
            # Leased, but nothing was signed before the process ended.
            return True
        found = self._votes.list_at(mark.height)
        return any((vote.kind, vote.round) == (mark.kind, mark.round) for vote in found)
