"""What an account of several keys may do in the ledger, what it pays, and how it waits."""

from __future__ import annotations

import pytest
from google.protobuf.message import Message

from fedcoin.contract.admission import min_fee
from fedcoin.contract.errors import LedgerCode
from fedcoin.contract.pending.mempool import Mempool
from fedcoin.contract.queries.account_queries import get_account
from fedcoin.contract.views import transaction_view
from fedcoin.data.crypto.key_policies import MAX_KEYS, make_policy
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.parameters import Parameters
from fedcoin.v1.task_pb2 import ClientList, OpenTask
from fedcoin.v1.transaction_pb2 import (
    Bond,
    CloseCampaign,
    CommitShapley,
    DeclineTask,
    RegisterReceipt,
    ReportEquivocation,
    RevealShapley,
    SetClients,
    Unbond,
)
from fedcoin.v1.views_pb2 import TRANSACTION_STATUS_PENDING
from tests.support.genesis import FDC
from tests.support.keys import ALICE, BOB
from tests.support.ledger_campaign import LedgerCampaign
from tests.support.ledger_chain import LedgerChain
from tests.support.shared_accounts import MEMBERS, PURSE, members_of, sign_on
from tests.support.transfers import transfer_to

PAY = transfer_to((BOB.address, FDC))
PURSE_FDC = 100


@pytest.fixture
def chain() -> LedgerChain:
    chain = LedgerChain.create(1)
    chain.produce(chain.sign(ALICE, transfer_to((PURSE.address, PURSE_FDC * FDC))))
    return chain


def test_each_two_of_three_spend(chain: LedgerChain) -> None:
    assert get_account(chain.ledger, PURSE.address).num_keys == 0  # nobody has shown the keys
    paid = 0
    for signers in (MEMBERS[:2], MEMBERS[1:], MEMBERS[::2]):
        payment = sign_on(chain, PAY, signers=signers)
        chain.produce(payment)
        paid += payment.body.fee + FDC
    assert chain.balance(PURSE.address) == PURSE_FDC * FDC - paid
    view = get_account(chain.ledger, PURSE.address)
    assert (view.threshold, view.num_keys, view.nonce) == (2, 3, 3)
    # To be paid changes neither; nor does an ordinary account get any.
    chain.produce(chain.sign(ALICE, transfer_to((PURSE.address, 1))))
    assert get_account(chain.ledger, PURSE.address).num_keys == 3
    assert get_account(chain.ledger, ALICE.address).num_keys == 0


def test_a_view_names_the_signers(chain: LedgerChain) -> None:
    view = transaction_view(sign_on(chain, PAY), TRANSACTION_STATUS_PENDING)
    assert (view.threshold, view.num_keys) == (2, 3)
    assert view.signers == [key.public_key.hex() for key in MEMBERS[:2]]
    plain = transaction_view(chain.sign(ALICE, PAY), TRANSACTION_STATUS_PENDING)
    assert (plain.threshold, plain.num_keys, list(plain.signers)) == (0, 0, [])


def test_the_fee_counts_keys_and_signatures(chain: LedgerChain) -> None:
    rules = Parameters(base_fee=1_000, fee_per_kib=100)
    assert min_fee(rules, 1_024 - 3 * 32 - 2 * 64, PURSE) == 2_000 + 100
    assert min_fee(rules, 1_025 - 3 * 32 - 2 * 64, PURSE) == 2_000 + 200
    full = make_policy(MAX_KEYS, [key.public_key for key in members_of(MAX_KEYS)])
    assert min_fee(rules, 100, full) == 16_000 + 200
    rules = chain.genesis.parameters
    burned = chain.ledger.totals().burned
    payment = sign_on(chain, PAY)
    assert payment.body.fee == 2 * rules.base_fee + rules.fee_per_kib
    chain.produce(payment)
    assert chain.ledger.totals().burned == burned + rules.fee_per_kib
    low = sign_on(chain, PAY, fee=payment.body.fee - 1)
    chain.refuses(LedgerCode.FEE_TOO_LOW, low, field="fee")


def test_nonces_count_as_for_any_account(chain: LedgerChain) -> None:
    first, again = sign_on(chain, PAY), sign_on(chain, PAY, signers=MEMBERS[1:])
    # The same payment with the signatures of others is the same transaction.
    assert again.hash == first.hash
    assert again.raw != first.raw
    chain.produce(first)
    chain.refuses(LedgerCode.NONCE_TOO_LOW, first, field="nonce")
    chain.refuses(LedgerCode.NONCE_TOO_LOW, again, field="nonce")
    chain.refuses(LedgerCode.NONCE_TOO_HIGH, sign_on(chain, PAY, nonce=2), field="nonce")


@pytest.mark.parametrize(
    "action",
    [
        Bond(amount=10 * FDC),
        Unbond(amount=1),
        OpenTask(),
        CommitShapley(),
        DeclineTask(),
        RevealShapley(),
        ReportEquivocation(),
        RegisterReceipt(),
    ],
    ids=lambda action: type(action).__name__,
)
def test_roles_of_one_key_are_refused(chain: LedgerChain, action: Message) -> None:
    chain.refuses(LedgerCode.NEEDS_ONE_KEY, sign_on(chain, action), field="action")


def test_several_people_request_a_campaign_and_are_paid_back(chain: LedgerChain) -> None:
    job = LedgerCampaign(chain, server=BOB)
    before = chain.balance(PURSE.address)
    opening = sign_on(chain, job.campaign_terms(), signers=MEMBERS[1:])
    chain.produce(opening)
    job.campaign_id = opening.hash
    assert chain.campaign(opening.hash).requester == PURSE.address
    listed = SetClients(campaign_id=opening.hash, clients=ClientList(root=bytes(32), count=3))
    change = sign_on(chain, listed)
    chain.produce(change)
    closing = CloseCampaign(campaign_id=opening.hash)
    chain.produce(chain.sign(ALICE, transfer_to((MEMBERS[0].address, FDC))))
    for stranger in (ALICE, BOB, MEMBERS[0]):
        chain.refuses(LedgerCode.NOT_THE_REQUESTER, chain.sign(stranger, closing))
    closed = sign_on(chain, closing, signers=MEMBERS[::2])
    chain.produce(closed)
    assert chain.campaign(opening.hash).closed
    state = 4 * chain.genesis.parameters.state_fee
    fees = sum(one.body.fee for one in (opening, change, closed))
    assert chain.balance(PURSE.address) == before - state - fees


def test_an_account_of_several_keys_is_no_server(chain: LedgerChain) -> None:
    terms = LedgerCampaign(chain).campaign_terms(server=PURSE.address)
    chain.refuses(LedgerCode.BAD_SERVER, sign_on(chain, terms), field="server")
    chain.produce(sign_on(chain, PAY))
    # Now the chain knows that it has several keys, and others cannot name it either.
    chain.refuses(LedgerCode.BAD_SERVER, chain.sign(ALICE, terms), field="server")


def test_other_signatures_replace_nothing_that_waits(chain: LedgerChain) -> None:
    pool, ledger, now = Mempool(), chain.ledger, chain.time_ms + 1
    first = sign_on(chain, PAY)
    assert pool.add(first, ledger, chain.height, now)
    twin = sign_on(chain, PAY, signers=MEMBERS[1:])
    with pytest.raises(RefusalError) as caught:
        pool.add(twin, ledger, chain.height, now)
    assert caught.value.code is LedgerCode.ALREADY_PENDING
    # What replaces pays for its bytes and signatures again.
    dearer = sign_on(chain, transfer_to((BOB.address, 1)), fee=2 * first.body.fee - 1)
    with pytest.raises(RefusalError) as caught:
        pool.add(dearer, ledger, chain.height, now)
    assert caught.value.code is LedgerCode.REPLACEMENT_UNDERPRICED
    dearest = sign_on(chain, transfer_to((BOB.address, 1)), fee=2 * first.body.fee)
    assert pool.add(dearest, ledger, chain.height, now)
    assert [one.hash for one in pool.candidates()] == [dearest.hash]
    assert pool.find(first.raw) is None


def test_a_member_s_own_transactions_do_not_touch_the_account(chain: LedgerChain) -> None:
    chain.produce(chain.sign(ALICE, transfer_to((MEMBERS[0].address, FDC))))
    pool, ledger, now = Mempool(), chain.ledger, chain.time_ms + 1
    shared, own = sign_on(chain, PAY), chain.sign(MEMBERS[0], transfer_to((BOB.address, 1)))
    for transaction in (own, shared):
        assert pool.add(transaction, ledger, chain.height, now)
    assert {one.hash for one in pool.candidates()} == {shared.hash, own.hash}
