"""The serving side of artifacts: model weights and data sets, named by the hash of their content.

This folder decides that chunks go in order, that each is checked when it arrives, that what has
arrived is kept when a transfer breaks off, and who may have what is held for private campaigns. It
does not know what an artifact means, nor who may upload what everybody may have: a listener that
accepts no uploads leaves `upload_servicer` out.

* `servicer` serves downloads (ArtifactService) on the listeners of peers, API and coordinator;
* `upload_servicer` serves uploads (ArtifactUploadService) on those of API and coordinator.
* `artifact_admission` chooses the store that a call reads or writes;
* `client_admission` decides what the coordinator of a private campaign sends to whom.

The calling sides are `network.client.artifact_client` and `artifact_upload_client`.
"""
