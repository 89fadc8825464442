"""Dashboards, rules and alerts, held against the product and against a real Prometheus."""
