-- The ledger of builds. One row per build; the last is the one that is published here.
select
    * replace (
        case when build_id = {{ build_id }} then get_current_timestamp() else published_at end as published_at,
        case when build_id = {{ build_id }} then {{ generation }} else generation end as generation,
        case when build_id = {{ build_id }} then cast({{ changes }} as json) else changes end as changes
    )
from raw.builds
order by started_at
