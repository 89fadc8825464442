"""Dashboards, rules and alerts, written as data; `python -m grafana.build` makes the files.

Every expression is put together from the registry of metrics (`proxy.telemetry`), so that a name,
label or kind that does not exist fails the build. What Prometheus and Grafana read is committed.
"""
