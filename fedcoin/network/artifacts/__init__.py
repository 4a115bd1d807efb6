"""The serving side of artifacts: model weights and data sets, named by the hash of their content.

This folder decides that chunks go in order, that each is checked when it arrives, and that what has
arrived is kept when a transfer breaks off. It does not know what an artifact means, nor who may
upload: a listener that accepts no uploads leaves `upload_servicer` out.

* `servicer` serves downloads (ArtifactService) on the listeners of peers, API and coordinator;
* `upload_servicer` serves uploads (ArtifactUploadService) on those of API and coordinator.

The calling sides are `network.client.artifact_client` and `artifact_upload_client`.
"""
