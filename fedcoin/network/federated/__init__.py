"""Federated learning between a coordinator and its clients: the service and its client.

What this part decides: that who registers holds the key it names, lately; that an update is
signed by the client it names; that each watcher sees every change once and in order. What a
round is and who may take part is decided behind ``Rounds``, which the application implements.
"""
