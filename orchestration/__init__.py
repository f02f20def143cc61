"""Dagster: assets, jobs, schedules and sensors, which call the pipeline."""
