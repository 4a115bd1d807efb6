"""Configuration: what one process is told, and the folder that it keeps its files in.

This folder decides which settings exist, where each value comes from, and which combinations are
refused. It does not know what a setting does: the other folders of `application` read them.

* `fields`: kinds of settings, each with its parser, its range and its TOML form
* `config`: all settings, as dataclasses; `coordinator_config`: those of a coordinator
* `config_sources`: reads and writes them; flag > variable > file > default
* `config_editing`: sets settings in a config.toml that exists
* `home`: the folder of one node or wallet; `private_folders`: making and locking folders
* `tls`: the TLS files of a home as credentials
* `network_options`: the settings in the form in which the network layer takes them
* `settings_watch`: settings that take effect while the node runs
* `worker_bounds`: the memory limit and the sandbox of worker processes
* `cpu_count`: the processors that this process may use, by its CPU mask and its cgroups
* `descriptor_limit`: the limit on open files, which a node raises at its start
* `hosted_clients`: the list of the clients that one process runs
* `genesis_file`: the genesis file of a new network; `pinned_genesis`: the genesis that a wallet's
  home relies on
"""
