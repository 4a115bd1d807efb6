"""The serving side of artifacts: model weights and data sets, named by the hash of their content.

This folder decides that chunks go in order, that each is checked when it arrives, and that what has
arrived is kept when a transfer breaks off. It does not know what an artifact means, nor who may
upload: the listener says so.

* `servicer` serves ArtifactService on the listeners of peers, API and coordinator.

The calling side is `network.client.artifact_client`.
"""
