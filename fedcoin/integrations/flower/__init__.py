"""Value and pay the clients of a Flower federation (flwr 1.42 or later, message API).

This folder decides how a Flower strategy is followed round by round: whose replies count, which
arrays are signed, what a coalition's model is and which metrics a round gets. It does not know how
clients train or how the wrapped strategy aggregates.

* `valued_federation`: a strategy that values each round's clients without a chain.
* `paid_federation`: a strategy whose rounds miners value and the chain pays; `paid_rounds` runs its
  campaign, with the settings of `campaign_terms`, in an `event_loop_thread`.
* `signing_mod`, `receipt_keeping`: the part of a paid client, with the `node_options` of its node;
  `round_terms` is what both sides tell each other.
* `tensor_layout`, `train_replies`: arrays of artifacts and of replies; `early_reading` reads these
  while others are awaited; `wrapped_strategy`: the base of both strategies.
* `triton_guard`: keeps a library out of processes that it would end.

docs/FLOWER.md is the manual.
"""

from __future__ import annotations

from fedcoin.integrations.flower.node_options import context_genesis, context_home, context_key
from fedcoin.integrations.flower.paid_federation import PaidFederation
from fedcoin.integrations.flower.receipt_keeping import keep_receipts
from fedcoin.integrations.flower.signing_mod import SigningMod
from fedcoin.integrations.flower.triton_guard import keep_triton_out
from fedcoin.integrations.flower.valued_federation import ValuedFederation

keep_triton_out()

__all__ = [
    "PaidFederation",
    "SigningMod",
    "ValuedFederation",
    "context_genesis",
    "context_home",
    "context_key",
    "keep_receipts",
]
