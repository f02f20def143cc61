"""Builds on Apache Spark with Iceberg tables (ENGINE=spark). Imported only then, as it needs the extra `spark`."""
