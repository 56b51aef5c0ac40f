"""Dashboards as code: `panels` says what they show, `render` makes Grafana's JSON of it."""
