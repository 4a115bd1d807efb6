"""What copies of an update earn, and what a similarity limit costs, on rounds that are trained.

This folder decides which rounds are trained, and which copies are added to them. The rules of
payment are the product's own.

* `trained_rounds`: rounds of federated learning with honest clients;
* `grouped_payments`: what each update of a group is paid;
* `copy_gains`: what copies earn; `look_alike_costs`: what similarity limits cost honest clients.
"""
