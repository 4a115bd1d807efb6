"""Consensus engines on a bad network. `simulate(draw_scenario(seed))` repeats a failure."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from fedcoin.consensus.block_verdicts import BlockVerdicts
from fedcoin.consensus.effects import Verdict
from fedcoin.consensus.signing_state import NO_ROUND, SigningState
from fedcoin.consensus.tendermint_engine import TendermintEngine
from fedcoin.consensus.validators import ValidatorSet
from fedcoin.consensus.vote_set import NIL
from fedcoin.data.messages.blocks import Block
from fedcoin.testing.consensus_simulation.block_application import SimulatedLedger
from fedcoin.testing.consensus_simulation.byzantine_nodes import BYZANTINE_NODES
from fedcoin.testing.consensus_simulation.local_facts import (
    EDGE,
    SOUND,
    Blindness,
    LocalFacts,
    make_claim,
)
from fedcoin.testing.consensus_simulation.scenario import (
    FAULT_KINDS,
    LinkCut,
    NodeCrash,
    Scenario,
    draw_scenario,
)
from fedcoin.testing.consensus_simulation.simulated_node import SimulatedNode
from fedcoin.testing.consensus_simulation.simulator import (
    ConsensusSimulation,
    SimulationReport,
    simulate,
    validator_key,
)
from fedcoin.v1.block_pb2 import BlockHeader
from tests.support.paths import ROOT

EQUAL_POWERS = (100, 100, 100, 100)


def violations(scenarios: Iterable[Scenario]) -> list[str]:
    """Run these seeds; returns the violations of each."""
    return list(broken_rules(scenarios))


def broken_rules(scenarios: Iterable[Scenario], *ledgers: type[SimulatedLedger]) -> Iterator[str]:
    """Run seed after seed, as many as the caller wants; yields the violations of each."""
    for scenario in scenarios:
        report = simulate(scenario, *ledgers)
        if report.violations:
            yield str(report)


def not_found(parts: set[str], lines: Iterable[str]) -> set[str]:
    """Read lines until each part was in one; returns those that were in none."""
    missing = parts
    for line in lines:
        missing = {part for part in missing if part not in line}
        if not missing:
            break
    return missing


def all_with(kind: str, seeds: range) -> Iterable[Scenario]:
    for seed in seeds:
        scenario = draw_scenario(seed)
        yield replace(scenario, faulty=tuple((i, kind) for i, _ in scenario.faulty))


# Fewer than a third faulty.


def test_seventy_seeds_break_no_rule_and_make_progress() -> None:
    assert violations(map(draw_scenario, range(70))) == []


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("first", [0, *range(10_000, 20_000, 1_000)])
def test_eleven_thousand_seeds(first: int) -> None:
    assert violations(map(draw_scenario, range(first, first + 1_000))) == []


@pytest.mark.parametrize("kind", FAULT_KINDS)
def test_every_kind_of_faulty_validator(kind: str) -> None:
    assert violations(all_with(kind, range(7))) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", FAULT_KINDS)
def test_every_kind_of_faulty_validator_on_many_networks(kind: str) -> None:
    assert violations(all_with(kind, range(7, 60))) == []


def test_two_faulty_of_seven() -> None:
    assert violations(draw_scenario(seed, nodes=7, faulty=2) for seed in range(6)) == []


@pytest.mark.slow
def test_two_faulty_of_seven_on_many_networks() -> None:
    assert violations(draw_scenario(seed, nodes=7, faulty=2) for seed in range(6, 60)) == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_three_faulty_of_ten() -> None:
    assert violations(draw_scenario(seed, nodes=10, faulty=3) for seed in range(200)) == []


def test_a_perfect_network_without_faults_needs_no_second_round() -> None:
    report = simulate(Scenario(seed=1, powers=EQUAL_POWERS, heights=10))
    assert report.violations == []
    assert min(report.heights) >= 10
    assert report.elapsed_ms < 10 * 400, "no proposal ever timed out"


def test_a_lone_validator_and_a_crashing_one() -> None:
    crashes = tuple(NodeCrash(0, at, 50) for at in range(100, 2_000, 150))
    alone = Scenario(seed=2, powers=(5,), heights=5, crashes=crashes, crash_chance=0.5)
    assert violations([alone, replace(alone, calm_ms=5_000)]) == []


def test_one_silent_validator_of_four_does_not_stop_the_others() -> None:
    dead = Scenario(seed=3, powers=EQUAL_POWERS, heights=8, faulty=((1, "nil-voter"),))
    gone = Scenario(
        seed=4,
        powers=EQUAL_POWERS,
        heights=8,
        faulty=((2, "withholder"),),
        crashes=(NodeCrash(2, 0, 10**6),),
    )
    assert violations([dead, gone]) == []


def test_without_a_quorum_nothing_is_decided_and_later_everything() -> None:
    two = frozenset({0, 1})
    rest = frozenset({2, 3})
    cuts = (LinkCut(0, 20_000, two, rest), LinkCut(0, 20_000, rest, two))
    apart = Scenario(seed=5, powers=EQUAL_POWERS, heights=3, cuts=cuts, calm_ms=20_000)
    report = simulate(replace(apart, deadline_ms=19_999))
    assert report.blocks == {}
    report = simulate(apart)
    assert report.violations == []
    assert report.elapsed_ms < 25_000


def test_a_node_that_was_down_catches_up_with_certified_blocks() -> None:
    away = Scenario(seed=6, powers=EQUAL_POWERS, heights=20, crashes=(NodeCrash(3, 0, 5_000),))
    report = simulate(away)
    assert report.violations == []
    assert report.heights[3] >= 20


def test_equivocators_are_accused() -> None:
    reports = [simulate(scenario) for scenario in all_with("equivocator", range(20))]
    caught = [report.accused == (report.scenario.faulty[0][0],) for report in reports]
    assert sum(caught) >= 10


# Runs can be repeated.


def fingerprint(report: SimulationReport) -> tuple[object, ...]:
    return (report.blocks, report.heights, report.elapsed_ms, report.packets, report.accused)


def test_a_run_depends_on_its_seed_alone() -> None:
    for seed in range(10):
        assert draw_scenario(seed) == draw_scenario(seed)
        first, second = simulate(draw_scenario(seed)), simulate(draw_scenario(seed))
        assert fingerprint(first) == fingerprint(second)


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_a_run_is_the_same_in_another_process(hash_seed: str) -> None:
    script = (
        "from tests.testing.consensus_simulation.test_consensus_simulation import *\n"
        "print([fingerprint(simulate(draw_scenario(s))) for s in range(4)])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONHASHSEED": hash_seed},
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    here = [fingerprint(simulate(draw_scenario(s))) for s in range(4)]
    assert done.stdout.strip() == str(here)


def test_every_kind_is_implemented() -> None:
    assert set(FAULT_KINDS) == set(BYZANTINE_NODES)


# The checks detect rules that were broken on purpose.


def forks(scenarios: Iterable[Scenario]) -> bool:
    reports = (simulate(scenario) for scenario in scenarios)
    return any("two final blocks" in line for report in reports for line in report.violations)


def test_two_faced_nodes_with_half_of_the_power_split_the_chain() -> None:
    two, three = frozenset({2}), frozenset({3})
    scenario = Scenario(
        seed=7,
        powers=EQUAL_POWERS,
        faulty=((0, "two-faced"), (1, "two-faced")),
        cuts=(LinkCut(0, 5_000, two, three), LinkCut(0, 5_000, three, two)),
        calm_ms=5_000,
    )
    assert forks([scenario])


def test_a_quorum_of_half_would_split_the_chain(monkeypatch: pytest.MonkeyPatch) -> None:
    half = lambda self, power: 2 * power >= self.total_power  # noqa: E731
    monkeypatch.setattr(ValidatorSet, "has_quorum", half)
    assert forks(all_with("two-faced", range(100)))


def test_forgetting_own_votes_is_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    crash = SimulatedNode.crash

    def forget(self: SimulatedNode) -> None:
        crash(self)
        self.disk.signed.clear()
        self.disk.lock = b""

    monkeypatch.setattr(SimulatedNode, "crash", forget)
    found = broken_rules(map(draw_scenario, range(60)))
    assert not_found({"signed two", "which is correct"}, found) == set()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_ignoring_the_lock_splits_the_chain(monkeypatch: pytest.MonkeyPatch) -> None:
    never = property(lambda self: (NO_ROUND, NIL), lambda self, lock: None)
    monkeypatch.setattr(SigningState, "locked", never)
    assert forks(all_with("decision-splitter", range(2_000)))


def test_never_sending_messages_again_stops_the_chain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TendermintEngine, "messages", lambda self: [])
    assert any("no progress" in line for line in broken_rules(map(draw_scenario, range(20))))


# Applications other than opaque blocks.


class Credulous(SimulatedLedger):
    """A voter that lets a block name any proposer; importing nodes have higher indices."""

    def check(self, block: Block, round: int) -> bool:
        if self._index >= len(EQUAL_POWERS):
            return super().check(block, round)
        header = BlockHeader.FromString(block.header_bytes)
        header.proposer = self.proposer(header.round).address
        return super().check(replace(block, header=header), round)


def test_a_rule_that_only_importing_nodes_check_is_detected() -> None:
    found = broken_rules(all_with("misnaming-proposer", range(20)), Credulous)
    # Node 4 imports meanwhile, and node 5 starts late.
    refusals = {f"node {index} refused the final block" for index in (4, 5)}
    assert not_found(refusals, found) == set()


def test_local_facts_that_decide_against_a_polka_stop_the_chain(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As when they were asked once, and were a part of validity."""
    note_judged = BlockVerdicts.note_judged

    def note_for_good(self: BlockVerdicts, block_hash: bytes, verdict: Verdict) -> None:
        note_judged(self, block_hash, verdict)
        if verdict is not Verdict.VALID:
            self._validity[block_hash] = Verdict.FOUND_FALSE

    monkeypatch.setattr(BlockVerdicts, "note_judged", note_for_good)
    assert any("no progress" in line for line in broken_rules(map(draw_scenario, range(150))))


# Facts that differ between nodes.

FOREVER = (Blindness(0, 10**9),)


def everywhere(*facts: LocalFacts, **changes: Any) -> Scenario:
    return Scenario(seed=9, powers=EQUAL_POWERS, facts=facts, heights=3, **changes)


def final_claims(scenario: Scenario) -> frozenset[bytes]:
    """Run a scenario that must break no rule; return the claims in final blocks."""
    simulation = ConsensusSimulation(scenario)
    assert simulation.run().violations == []
    node = next(node for node in simulation.nodes if node.index not in dict(scenario.faulty))
    blocks = [final.block for final in node.disk.final_blocks]
    return frozenset(claim for block in blocks for claim in block.transactions[1:])


def test_a_third_can_audit_for_the_others_and_less_cannot() -> None:
    claim = make_claim(SOUND, 1)
    blind = [LocalFacts(i, blind=FOREVER) for i in range(4)]
    two = everywhere(LocalFacts(0), LocalFacts(1), *blind[2:], claims=(claim,))
    assert final_claims(two) == {claim}
    one = everywhere(LocalFacts(0), *blind[1:], claims=(claim,))
    assert final_claims(one) == frozenset()
    assert final_claims(everywhere(*blind, claims=(claim,))) == frozenset()


def test_a_claim_on_which_audits_differ_delays_no_height_for_long() -> None:
    edges = tuple(make_claim(EDGE, number) for number in range(6))
    sound = make_claim(SOUND, 9)
    report = simulate(everywhere(claims=(*edges, sound)))
    assert report.violations == []
    assert report.elapsed_ms < 10_000


def test_blind_voters_and_a_forger_make_no_forged_claim_final() -> None:
    blind = [LocalFacts(i, blind=FOREVER) for i in range(4)]
    for forger in range(4):
        assert final_claims(everywhere(*blind, faulty=((forger, "forger"),))) == frozenset()


def test_without_the_rule_for_audited_prevotes_a_forged_claim_becomes_final(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    blind = [LocalFacts(i, blind=FOREVER) for i in range(4)]
    monkeypatch.setattr(ValidatorSet, "has_correct", lambda self, power: True)
    runs = [simulate(everywhere(*blind, faulty=((i, "forger"),))) for i in range(4)]
    assert any("a forged claim is final" in line for run in runs for line in run.violations)


@pytest.mark.parametrize("skew_ms", [150, 2_000, 60_000])
def test_clocks_that_differ_by_more_than_the_bound_do_not_stop_the_chain(skew_ms: int) -> None:
    facts = [LocalFacts(i, skew_ms=skew_ms * i) for i in range(4)]
    report = simulate(everywhere(*facts))
    assert report.violations == []
    assert report.elapsed_ms < 30_000


class Reluctant(SimulatedLedger):
    """Builds a block only as proposer and after a second; rejects every third block."""

    def wants_block(self, now_ms: int) -> bool:
        return (
            self.proposer(0).public_key == validator_key(self._index).public_key and now_ms > 1_000
        )

    def check(self, block: Block, round: int) -> bool:
        return super().check(block, round) and int.from_bytes(block.raw[-8:], "big") % 3 != 0


def test_blocks_are_built_when_a_node_wants_one_and_rejected_blocks_are_never_final() -> None:
    scenario = Scenario(seed=8, powers=EQUAL_POWERS, heights=16)
    simulation = ConsensusSimulation(scenario, Reluctant)
    assert simulation.run().violations == []
    for node in simulation.nodes:
        numbers = [int.from_bytes(final.block.raw[-8:], "big") for final in node.disk.final_blocks]
        assert all(number % 3 for number in numbers)
    quiet = simulate(replace(scenario, deadline_ms=1_000), Reluctant)
    assert quiet.blocks == {}
