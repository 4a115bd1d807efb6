"""Metrics: what a node measures of itself, for Prometheus.

This folder decides which numbers a node shows and how they are fetched. It measures nothing that
costs the node time between two scrapes, except for counting events.

* `declarations`: all metrics, each with its name, unit and source
* `metrics_server`: the HTTP endpoint that Prometheus scrapes
* `scrape_server`: the HTTP server below it, with its limits
"""
