"""Fuzz the decoders: mutated valid bytes must be decoded or refused, in bounded time and memory.

* `targets`: each decoder of bytes from strangers, with valid bytes to begin with
* `mutations`: changed copies of valid bytes
* `campaign`: run a decoder over many of them, and find faults
* `guided`: the same decoders under atheris, which looks for bytes that reach new code
"""
