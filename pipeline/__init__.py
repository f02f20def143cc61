"""The engine: settings, landing, reading, loading, building by dbt, publishing, verifying. Independent of its drivers."""
