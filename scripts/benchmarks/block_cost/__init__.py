"""What the dearest blocks that the rules allow cost a validator that has not seen them before.

* `measured_chain`: checks, executes and stores a block with a ledger that knows nothing of it
* `cost_allowance`: what a block may cost for its bytes and signatures
* `transfer_blocks`, `campaign_blocks`, `bond_blocks`, `mining_blocks`: full blocks of each kind
"""
