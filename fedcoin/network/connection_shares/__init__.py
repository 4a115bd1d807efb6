"""What one host may take of a listener's connections, which gRPC limits only all together.

gRPC accepts connections in threads of its own and has no callback for them. So the process looks
at its own sockets, and has the kernel drop what comes from hosts that hold more than their share.

* `connection_watch`: decides which connections are closed and which hosts are kept out;
* `own_connections`: finds the connections of a listener among the process's file descriptors;
* `source_filter`: a filter at the listening socket that drops packets of some hosts (Linux).
"""
