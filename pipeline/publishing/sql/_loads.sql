-- The ledger of loads. One row per attempt to load a table's delivery of a day.
select *
from raw.loads
order by load_id
