"""Read access for services: views of the latest state and of the stored blocks.

Ids, hashes and addresses are bytes here; services parse the text that callers send. Something that
does not exist is None or an empty list, never an error. Lists have the latest entry first and come
in pages.

* `account_queries`: accounts and validators; `block_queries`: blocks and transactions
* `task_queries`: campaigns and tasks; `payment_queries`: payments and their proofs
* `artifact_readers`: who may fetch the artifacts of a private campaign
* `pages`: a page of a list
"""
