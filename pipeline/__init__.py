"""The engine: settings, landing, reading, loading, building by dbt, publishing, verifying. It knows none of its drivers."""
