"""The one YAML file: providers, models, limits and time-outs as typed data."""
