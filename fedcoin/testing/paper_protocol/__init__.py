"""The paper's own protocol (arXiv:2002.11711, algorithms 1 to 3), to compare with; not the product.

``race`` is Proof of Shapley as printed: miners broadcast their running mean and how often they
iterated, whoever is within D of the weighted mean of what it heard makes the block, and a verifier
compares distances. ``liars`` are what this lets through. Nothing of the product imports it.
"""
