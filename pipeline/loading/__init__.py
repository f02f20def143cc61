"""Loads deliveries into raw, many in a transaction, under R25 and R26: each is in whole or not at all."""

from pipeline.loading.batches import load_deliveries
from pipeline.loading.loads import Load, doubled_files_warnings, live_load, pending

__all__ = ["Load", "doubled_files_warnings", "live_load", "load_deliveries", "pending"]
