"""The calling side of gRPC: clients of nodes, coordinators and peers.

This folder decides how a call is made: which channel carries it, how long it may take, which
calls are tried again, where a broken stream or transfer goes on, and which error a failure turns
into. It does not know what the replies mean, and it serves nothing.

* `rpc_error`: `RpcError`, the one exception of a failed call;
* `channels`: options of a channel, retries, proxies;
* `renewed_channel`: a channel whose certificates may change;
* `tls_probe`: whether a server speaks TLS;
* `backoff`: pauses between attempts;
* `grpc_client`: `GrpcClient`, the base of every client here and of `peers.connections.link.Link`;
* `artifact_client` and `artifact_upload_client`: resumable downloads and uploads, on any client;
* `node_client` with `chain_calls`, `transaction_calls` and `task_calls`: a node's API;
* `admin_client`: a node's operator socket;
* `federated_client`: a coordinator.
"""
