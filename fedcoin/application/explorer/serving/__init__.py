"""Serve the explorer over HTTP.

Decides which address shows which page, who is answered, and how much at a time.

* `web_server`: the node's client, the follower and the server on one event loop;
* `patient_protocol`: how long connections may wait, and how many a host may have;
* `web_app`: which address shows which page; `request_guard`: headers, hosts and methods;
* `event_stream`: tells open pages what happened;
* `asset_files`: the style sheet, the scripts and the icon.
"""
