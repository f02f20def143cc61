-- R25: rejected rows of live loads, counted. One row per load, file and reason.
select
    loads.load_id,
    loads.table_name,
    loads.load_day,
    rejected_rows.file_name,
    rejected_rows.reason,
    count(*) as row_count
from raw.rejected_rows
inner join raw.loads on rejected_rows.load_id = loads.load_id
where loads.superseded_by is null
group by all
order by all
