"""Certificates: an authority for a consortium's TLS, and how long certificates are valid.

This folder makes, renews and reads certificates (X.509, by the library `cryptography`). Which files
a node uses is decided by `configuration`, and when they are read again by the network's
`connections.tls_files`.

* `authority`: the authority, requests for certificates, and their signing
* `certificate_files`: where they lie, and how they are written
* `certificate_info`: what a certificate says, and until when it is valid
"""
