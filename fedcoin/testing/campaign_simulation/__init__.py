"""A campaign on simulated nodes with real ledgers: a coordinator, clients, miners and validators.

Blocks are built, checked, voted on, executed and audited by the product's code. Three things are
simulated: time and the network, by `consensus_simulation`; the gossip of transactions, by a mempool
that all nodes share; and training, by a game that says what a coalition of clients is worth. What a
dishonest strategy gains is counted here; whether that is too much is for the measurements to say.

* `campaign_setting`: what one run consists of;
* `simulated_campaign`: runs it; `campaign_outcome`: what came of it;
* `ledger_application`: one validator's ledger; `proposer_policy`: how it builds blocks;
* `shared_mempool`: transactions on their way, and the voters' audit of reveals;
* `simulated_miner`, `simulated_coordinator`: they react to each block with actions;
* `saturating_game`: the utilities of coalitions;
* `unvoted_ledger`, `coalition_play`: a ledger without voting, and an owner of several miners on it.
"""
