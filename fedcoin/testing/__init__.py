"""Test equipment for networks: simulators, dishonest nodes, and measurements of what they gain.

It is installed for those who test a network or study its security. It decides how participants
misbehave and what is measured; every rule that they play against is the product's own code. Nothing
in the product imports it: `fedcoin-node devnet --adversary` runs `dishonest` as a program.

* `consensus_simulation`: a network of consensus engines in virtual time, with faults drawn by seed;
* `campaign_simulation`: the same with real ledgers, miners and a coordinator;
* `scale_simulation`: up to 200 nodes with real ledgers, voting and gossip, in virtual time;
* `networks`: networks of real processes, and what happens to them, in files;
* `dishonest`: nodes that mine, propose, vote or send messages dishonestly;
* `client_harm`: what honest clients do harm by chance, and what accomplices gain by harm;
* `copied_updates`: what copies of an update earn, on rounds that are trained;
* `measurements`: what dishonest participants gain and lose, as plain numbers;
* `measure_audits`: what audits accept of each measure, honest or forged;
* `paper_protocol`: Proof of Shapley as the paper prints it, for comparison.
"""
