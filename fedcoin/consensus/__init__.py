"""Agreement: whose block, which block, and whose vector of Shapley values.

Two questions are decided here, and both by arithmetic alone. `posap` turns what the miners
revealed about one task into the agreed vector, the inliers and the winner, and moves the
difficulty; every node computes the same from the same reveals. `voting` decides one block
for each height among the bonded validators: the Tendermint algorithm as a state machine that
takes messages and the ends of timers in and gives effects out.

Around them stand `validators` (who may vote, with which power), `proposers` (whose turn it
is: the others follow the latest PoSap winner), `certificates` (the precommits that make a
block final, in the form that travels), `tally` (votes of one round, counted within bounds),
`locks` (what must be on disk before a precommit leaves), `messages` and `effects` (what goes
in and comes out), `engine` (what a driver needs of any engine) and `instant` (an engine for
one validator). `simulation` runs many engines over a hostile network, by seed.

In order, for each height: the driver learns the validators and the proposer of each round
from the ledger and makes a `Voting`; messages may come before it starts; it asks for a block
to be built or checked, for votes to be signed, for timers; in the end it names the block and
its certificate, and the driver makes the next one.

This layer does not know the time, the disk, the network, a secret key, or what stands in a
block. Signatures are checked before a message comes here; what a block means is asked of the
driver. It never raises for what a stranger sent other than a `Refusal` with a code of
`errors.ConsensusCode`.
"""
