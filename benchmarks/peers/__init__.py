"""How others would compute the journal: each module reads a landing folder and writes the journal, by a tool of its own.

`python -m benchmarks.peers.NAME LANDING OUT THREADS` writes OUT/*.parquet with the columns of JOURNAL_COLUMNS.
"""

JOURNAL_COLUMNS = ("contact_id", "client_id", "touch_count", "channel_count", "is_multichannel", "touch_chain")
