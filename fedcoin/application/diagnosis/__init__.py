"""Diagnosis: what would keep a node from its work, found before it starts or while it runs.

This folder decides what is looked at, and from which measure on it is a warning or wrong. It
changes nothing: it binds ports and dials peers only to see whether that works.

* `finding`: one result, with its level and what to do
* `home_checks`: settings, genesis, keys, lock and certificates of a home
* `machine_checks`: disk, descriptors, processors, proxies and libraries
* `port_checks`: the addresses that the node listens on
* `node_checks`: what a running node says of itself, its peers and its clock
* `seed_checks`: whether the peers that the settings name can be reached from here
* `worker_checks`: the sandbox, TensorFlow in a worker process, Ray
* `diagnosis`: all of them, in order
"""
