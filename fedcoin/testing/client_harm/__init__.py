"""What honest clients do harm by chance, and what accomplices gain by harm, on trained rounds.

This folder decides what the clients of a campaign train on and send. Values, payments, and which
clients are left out are the product's own.

* `client_behaviours`: honest clients with noise of several kinds, and accomplices;
* `harm_campaigns`: whole campaigns with them, and what is measured.
"""
