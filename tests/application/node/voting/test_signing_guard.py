"""A validator whose database may lack votes of its key is silent, and no longer than needed."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fedcoin.application.errors import ApplicationCode
from fedcoin.application.node.voting.signing_guard import LEASED_HEIGHTS, ChainSight, SigningGuard
from fedcoin.application.node.voting.vote_signer import VoteSigner
from fedcoin.consensus.effects import CastVote
from fedcoin.data.crypto.key_files import save_key
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages.votes import PRECOMMIT, PREVOTE
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.data.storage.unused_key import UnusedKeyFile
from fedcoin.data.storage.vote_mark import VoteMark, VoteMarkFile
from fedcoin.v1.block_pb2 import BlockHeader
from tests.conftest import ReportAttack
from tests.support.genesis import GENESIS_MS, make_genesis
from tests.support.keys import MINERS

KEY = MINERS[0]
GENESIS = make_genesis({KEY: 10**12}, {})
STARTED_MS = GENESIS_MS + 1_000_000
DRIFT_MS = GENESIS.parameters.max_clock_drift_ms
BOOT = "the machine's present start"
HASH, OTHER_HASH = b"h" * 32, b"o" * 32


@dataclass
class Site:
    """A home's mark and database, and the chain that the node sees."""

    folder: Path
    header: BlockHeader | None = None
    peers_height: int | None = 0
    bonded_ms: int = 0
    is_alone: bool = False
    has_signed: bool = False
    stores: list[ChainStore] = field(default_factory=list)

    @property
    def mark(self) -> VoteMarkFile:
        return VoteMarkFile(self.folder / "node.votes")

    @property
    def unused(self) -> UnusedKeyFile:
        return UnusedKeyFile(self.folder / "node.key", BOOT)

    def make_key(self) -> None:
        """Make the key as `fedcoin-node init` does."""
        save_key(self.folder / "node.key", KEY)
        self.unused.write()

    def start(self, database: str = "chain.sqlite", *, override: bool = False) -> VoteSigner:
        """Start the validator with one of its databases, which is made if it is missing."""
        store = ChainStore.open(self.folder / database, GENESIS)
        self.stores.append(store)
        sight = ChainSight(
            lambda: self.header,
            lambda: self.peers_height,
            lambda: self.bonded_ms,
            self.is_alone,
            lambda: self.has_signed,
        )
        guard = SigningGuard(
            self.mark,
            store.votes,
            GENESIS,
            sight,
            STARTED_MS,
            unused=self.unused,
            override=override,
        )
        return VoteSigner(KEY, store, GENESIS, guard)

    def final(self, height: int, time_ms: int) -> None:
        self.header = BlockHeader(height=height, time_ms=time_ms)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    for store in made.stores:
        store.close()


def vote(signer: VoteSigner, height: int, round: int = 0, block: bytes = HASH) -> None:
    signer.sign(height, CastVote(PREVOTE, round, block))


def is_silent(signer: VoteSigner, height: int) -> bool:
    silent = not signer.may_sign(height)
    if silent:
        with pytest.raises(RefusalError) as caught:
            vote(signer, height, block=OTHER_HASH)
        assert caught.value.code is DataCode.VOTES_MISSING
    return silent


def test_at_genesis_it_votes_at_once_and_after_a_restart_too(site: Site) -> None:
    vote(site.start(), 1)
    again = site.start()
    assert not is_silent(again, 1)
    vote(again, 1, round=1)
    vote(site.start(), 2)


@pytest.mark.attack
def test_an_empty_database_is_silent_where_the_key_may_have_signed(
    site: Site, report_attack: ReportAttack
) -> None:
    """Without the mark, the validator would vote at height 30 for another block than before."""
    site.final(29, STARTED_MS - 1)
    site.mark.lease(VoteMark(25))
    vote(site.start(), 30)
    wiped = site.start("empty.sqlite")
    assert [is_silent(wiped, height) for height in (1, 30, 30 + LEASED_HEIGHTS - 1)] == [True] * 3
    assert not is_silent(wiped, 30 + LEASED_HEIGHTS)
    report_attack(
        "a validator's database is lost, and peers replay a height at which it voted",
        "it votes again at once, and loses its bond",
        f"it is silent for up to {LEASED_HEIGHTS} heights",
    )
    vote(wiped, 30 + LEASED_HEIGHTS)
    # The database now holds the latest vote, so a restart is no reason to be silent.
    assert not is_silent(site.start("empty.sqlite"), 30 + LEASED_HEIGHTS)


def test_a_copy_from_a_moment_before_is_noticed(site: Site) -> None:
    signer = site.start()
    vote(signer, 1)
    site.stores[-1].backup(site.folder / "copy.sqlite")
    signer.sign(1, CastVote(PRECOMMIT, 0, HASH))
    assert is_silent(site.start("copy.sqlite"), 1)
    assert not is_silent(site.start(), 1)


@pytest.mark.parametrize("damage", ["missing", "damaged"])
def test_without_a_mark_it_waits_for_a_block_made_after_its_start(site: Site, damage: str) -> None:
    if damage == "damaged":
        site.mark.path.write_text("{")
    site.final(70, STARTED_MS + 2 * DRIFT_MS)
    signer = site.start()
    assert is_silent(signer, 71)
    site.final(71, STARTED_MS + 2 * DRIFT_MS + 1)
    assert not is_silent(signer, 72)
    vote(signer, 72)


def test_a_key_that_was_bonded_after_the_start_has_signed_nothing(site: Site) -> None:
    site.final(70, STARTED_MS + 2)
    site.bonded_ms = STARTED_MS
    assert is_silent(site.start(), 71)
    site.bonded_ms = STARTED_MS + 1
    signer = site.start()
    assert not is_silent(signer, 71)
    vote(signer, 71)


@pytest.mark.attack
def test_a_peer_that_claims_blocks_silences_a_network_at_genesis_only_while_it_is_there(
    site: Site, report_attack: ReportAttack
) -> None:
    site.peers_height = 70
    signer = site.start()
    # The voting on the first height begins with the key: it is set up once.
    assert signer.may_sign(1)
    with pytest.raises(RefusalError) as caught:
        vote(signer, 1)
    assert caught.value.code is ApplicationCode.PEERS_AWAY
    assert "claims 70 blocks" in caught.value.message
    site.peers_height = 0
    vote(signer, 1)
    report_attack(
        "claim a great height to the validators of a network that starts, with keys made elsewhere",
        "they are silent at height 1 until they are started again",
        "they vote when the peer is banned or gone; with keys of `init` at once",
    )


def test_a_wait_for_peers_is_logged_once_at_a_height(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """It is tried again five times a second, for days where the others start later."""
    site.peers_height = None
    signer = site.start()
    away = RefusalError(ApplicationCode.SIGNER_AWAY, "it is away", field="signer")
    for _ in range(3):
        with pytest.raises(RefusalError) as caught:
            vote(signer, 1)
        assert signer.note_silence(1, caught.value) == pytest.approx(0.2)
    said = [record.levelname for record in caplog.records if "no peer" in record.message]
    assert said.count("WARNING") == 1
    for height in (1, 1, 2):
        signer.note_silence(height, away)
    said = [record.levelname for record in caplog.records if "it is away" in record.message]
    assert said.count("WARNING") == 2


def test_an_empty_database_is_no_genesis_when_the_peers_blocks_come(site: Site) -> None:
    site.peers_height = 70
    signer = site.start()
    site.final(1, GENESIS_MS + 1)
    assert is_silent(signer, 2)


@pytest.mark.attack
def test_at_genesis_without_a_record_it_waits_for_a_peer(
    site: Site, report_attack: ReportAttack
) -> None:
    """A restored home that no peer has reached yet has an empty chain, too."""
    site.peers_height = None
    signer = site.start()
    # The height may begin, and votes that cannot be signed yet are tried again.
    assert signer.may_sign(1)
    with pytest.raises(RefusalError) as caught:
        vote(signer, 1)
    assert caught.value.code is ApplicationCode.PEERS_AWAY
    assert signer.note_silence(1, caught.value) is not None
    site.peers_height = 70
    with pytest.raises(RefusalError) as caught:
        vote(signer, 1)
    assert caught.value.code is ApplicationCode.PEERS_AWAY
    report_attack(
        "keep the peers of a validator that lost its disk away while it starts, and show its vote",
        "it votes at height 1, where it voted before: its bond burns",
        "PEERS_AWAY: nothing is signed",
    )
    site.peers_height = 0
    vote(signer, 1)


def test_whoever_holds_more_than_two_thirds_waits_for_no_peer(site: Site) -> None:
    site.peers_height, site.is_alone = None, True
    vote(site.start(), 1)


def test_a_key_that_signed_nothing_votes_at_any_height(site: Site) -> None:
    site.make_key()
    site.final(70, STARTED_MS - 1)
    site.peers_height = 70
    signer = site.start()
    assert not is_silent(signer, 71)
    assert site.unused.holds()
    vote(signer, 71)
    assert not site.unused.path.exists()


@pytest.mark.attack
@pytest.mark.parametrize(("height", "peers"), [(0, None), (0, 70), (69, 70), (70, None)])
def test_a_note_says_nothing_until_the_node_is_as_far_as_its_peers(
    site: Site, height: int, peers: int | None, report_attack: ReportAttack
) -> None:
    """A copy of the key may have signed these heights on another machine."""
    site.make_key()
    if height:
        site.final(height, STARTED_MS - 1)
    site.peers_height = peers
    with pytest.raises(RefusalError) as caught:
        vote(site.start(), height + 1)
    assert caught.value.code is ApplicationCode.PEERS_AWAY
    assert site.unused.holds()
    report_attack(
        "move a validator's key to another machine, and start it later where it was made",
        "no more than now",
        "a note counts at the peers' height, and where no late certificate holds a vote of the key",
    )


def test_a_note_is_void_where_the_chain_shows_a_vote_of_the_key(site: Site) -> None:
    site.make_key()
    site.final(70, STARTED_MS - 1)
    site.peers_height, site.has_signed = 70, True
    signer = site.start()
    assert is_silent(signer, 71)
    site.final(71, STARTED_MS + 2 * DRIFT_MS + 1)
    vote(signer, 72)


def test_the_note_is_gone_before_the_first_mark_is_written(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a mark that is lost later would make a key that voted look new."""

    def cut(self: VoteMarkFile, mark: VoteMark) -> None:
        raise OSError("power cut")

    site.make_key()
    site.final(70, STARTED_MS - 1)
    with monkeypatch.context() as patched:
        patched.setattr(VoteMarkFile, "lease", cut)
        site.peers_height = 70
        with pytest.raises(OSError, match="power cut"):
            vote(site.start(), 71)
    assert is_silent(site.start(), 71)


@pytest.mark.attack
@pytest.mark.parametrize("lost", ["record", "record but not the key", "record and database"])
def test_a_copy_of_a_new_home_is_silent_where_the_first_home_voted(
    site: Site, tmp_path_factory: pytest.TempPathFactory, lost: str, report_attack: ReportAttack
) -> None:
    site.make_key()
    copied = Site(tmp_path_factory.mktemp("copies") / "home")
    shutil.copytree(site.folder, copied.folder)
    site.final(70, STARTED_MS - 1)
    vote(site.start(), 71)
    copied.final(70, STARTED_MS - 1)
    assert copied.unused.path.exists()
    assert is_silent(copied.start(), 71)
    # And the home itself, when its record was deleted, or came back from the copy.
    site.mark.path.unlink()
    shutil.copy2(copied.unused.path, site.unused.path)
    if lost == "record":
        shutil.copy2(copied.folder / "node.key", site.folder / "node.key")
    elif lost == "record and database":
        shutil.rmtree(site.folder)
        shutil.copytree(copied.folder, site.folder)
    assert is_silent(site.start("other.sqlite"), 71)
    report_attack(
        "restore a validator's home from a copy made before its first vote",
        "no more than now",
        "VOTES_MISSING until a block is final that was made after the start",
    )
    copied.stores[-1].close()


def test_the_operator_may_override_it(site: Site) -> None:
    site.final(70, STARTED_MS - 1)
    assert is_silent(site.start(), 71)
    signer = site.start(override=True)
    assert not is_silent(signer, 71)
    vote(signer, 71)
    assert not is_silent(site.start(), 71)


def test_no_vote_waits_for_the_disk_once_a_lease_is_renewed_in_time(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[int] = []
    lease = VoteMarkFile.lease

    def counted(self: VoteMarkFile, mark: VoteMark) -> None:
        waited.append(mark.leased)
        lease(self, mark)

    monkeypatch.setattr(VoteMarkFile, "lease", counted)
    signer = site.start()
    for height in range(1, 1 + 3 * LEASED_HEIGHTS):
        vote(signer, height)
        signer.sign(height, CastVote(PRECOMMIT, 0, HASH))
        mark = site.mark.read()
        assert mark is not None
        # A later lease says more than it must; an earlier one would let a copy vote too soon.
        assert mark.leased > height == mark.height
    # For the first lease, and for the first vote of it.
    assert waited == 2 * [1 + LEASED_HEIGHTS]


def test_a_vote_beyond_the_lease_waits_for_its_renewal(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    may_sync = threading.Event()

    def slow(self: VoteMarkFile) -> None:
        assert may_sync.wait(30)
        mark = self.read()
        assert mark is not None
        synced.append(mark.leased)

    monkeypatch.setattr(VoteMarkFile, "sync", slow)
    signer = site.start()
    for height in range(1, 1 + LEASED_HEIGHTS):
        vote(signer, height)
    assert synced == []
    late = threading.Thread(target=vote, args=(signer, 1 + LEASED_HEIGHTS))
    late.start()
    late.join(0.05)
    assert late.is_alive()
    may_sync.set()
    late.join(30)
    assert not late.is_alive()
    assert synced[0] > 1 + LEASED_HEIGHTS


def test_a_lease_that_cannot_be_renewed_stops_the_votes(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: VoteMarkFile) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(VoteMarkFile, "sync", broken)
    signer = site.start()
    for height in range(1, 1 + LEASED_HEIGHTS):
        vote(signer, height)
    with pytest.raises(OSError, match="no space left"):
        vote(signer, 1 + LEASED_HEIGHTS)


def test_a_mark_that_is_deleted_is_written_again(site: Site) -> None:
    signer = site.start()
    vote(signer, 1)
    site.mark.path.unlink()
    vote(signer, 2)
    assert site.mark.read() == VoteMark(1 + LEASED_HEIGHTS, "prevote", 2, 0)


def test_the_mark_is_named_after_the_key_and_the_network(tmp_path: Path) -> None:
    mark = VoteMarkFile.beside_key(tmp_path, "spare", b"\x2a" * 32)
    assert mark.path == tmp_path / "spare-2a2a2a2a2a2a2a2a.votes"
