"""Training and valuation from files, without a running campaign.

Decides what the folder of a simulated training holds, how it or a folder of any framework's updates
becomes a campaign on a chain, and how the Shapley values of files are computed without any chain.
Worker processes train and evaluate, except for `federation`, and `fedcoin.shapley` chooses the
coalitions.

* `simulation`, `simulation_folder`: train clients on shares of one data set; the folder they leave.
* `publication`: a campaign of one round and a Shapley task from that folder, or from updates.
* `update_folder`, `client_table`, `client_keys`: updates of any framework.
* `federation`: trains and values clients from arrays, in this process.
* `valuation`, `standard_errors`, `evaluation_pace`: Shapley values of clients' files.
* `cost_forecast`: what a campaign costs and its miners earn, before it opens.
* `valuation_files`, `model_files`, `client_weights`: read those files.
* `conversion`: converts a file of weights or data into another format.
"""
