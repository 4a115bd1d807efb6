"""Artifacts: model architectures, weights and data sets, named by their content.

Decides how an artifact is cut into chunks, named and verified, how a node keeps it, and how
arrays are written in one. It knows neither who sends an artifact nor which task needs it.
What is held for a private campaign is kept apart (`store.room`).

* `manifest`: chunks, ids and manifests; `upload`: an artifact that arrives chunk by chunk.
* `store`: the folder of a node's artifacts; `complete_artifacts`: reads the complete ones;
  `upload_set`: the incomplete ones, in order of use.
* `reader_proofs`: how somebody proves who asks for the artifacts of a private campaign.
* `tensors`: named arrays as bytes; `mapped_tensors`: arrays that stay in their file.
"""
