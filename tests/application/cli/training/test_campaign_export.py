from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fedcoin.application.configuration.home import Home
from tests.support.ledger_campaign import LedgerCampaign
from tests.support.ledger_chain import LedgerChain


def make_campaign_home(folder: Path) -> tuple[Home, str]:
    """Create a home whose chain has a campaign with an open task; returns its id, too."""
    home = Home(folder)
    folder.mkdir()
    chain = LedgerChain.create(1, folder=folder)
    home.write(chain.genesis.raw, {})
    job = LedgerCampaign(chain)
    job.open_campaign()
    job.open_task()
    assert home.chain_path.exists()
    return home, job.campaign_id.hex()


def test_an_export_is_checked_with_the_genesis_alone(fedcoin: Any, tmp_path: Path) -> None:
    home, campaign = make_campaign_home(tmp_path / "a")
    out = tmp_path / "campaign.json"
    outcome = fedcoin("campaign", "export", campaign, "--home", home.root, "--out", out)
    assert outcome.code == 0, outcome.err
    assert "2 blocks" in outcome.out
    genesis = tmp_path / "genesis.json"
    home.genesis_path.rename(genesis)
    checked = fedcoin("verify", "--campaign", out, "--genesis", genesis)
    assert checked.code == 0, checked.err
    assert "round 1, commit, task" in checked.out
    assert "10 FDC of the budget are neither paid nor returned" in checked.out
    found = fedcoin("verify", "--campaign", out, "--genesis", genesis, "--json").json
    assert (found["campaign_id"], found["paid"], len(found["tasks"])) == (campaign, 0, 1)
    record = json.loads(out.read_text())
    record["summary"]["budget"] += 1
    out.write_text(json.dumps(record))
    refused = fedcoin("verify", "--campaign", out, "--genesis", genesis)
    assert (refused.code, "BAD_PROOF" in refused.err, refused.out) == (1, True, "")


def test_the_first_digits_of_the_campaign_are_enough(fedcoin: Any, tmp_path: Path) -> None:
    home, campaign = make_campaign_home(tmp_path / "a")
    out = tmp_path / "campaign.json"
    other = "0000" if campaign[:4] != "0000" else "ffff"
    outcome = fedcoin("campaign", "export", other, "--home", home.root, "--out", out)
    assert (outcome.code, "no id begins so [BAD_ARGUMENT]" in outcome.err) == (2, True)
    assert not out.exists()
    outcome = fedcoin("campaign", "export", campaign[:4], "--home", home.root, "--out", out)
    assert outcome.code == 0, outcome.err
    assert json.loads(out.read_text())["campaign_id"] == campaign


def test_what_cannot_be_exported(fedcoin: Any, tmp_path: Path) -> None:
    home, campaign = make_campaign_home(tmp_path / "a")
    out = tmp_path / "campaign.json"
    outcome = fedcoin("campaign", "export", "00" * 32, "--home", home.root, "--out", out)
    assert (outcome.code, "CAMPAIGN_NOT_FOUND" in outcome.err) == (1, True)
    assert not out.exists()
    out.write_text("mine")
    outcome = fedcoin("campaign", "export", campaign, "--home", home.root, "--out", out)
    assert (outcome.code, out.read_text()) == (1, "mine")
    for other in (("--recompute",), ("--proof", out)):
        outcome = fedcoin("verify", "--campaign", out, *other, "--genesis", home.genesis_path)
        assert (outcome.code, "BAD_ARGUMENT" in outcome.err) == (2, True)
