-- The ledger of builds. One row per build; the last is the one that is published here.
select * replace (
    if(build_id = $build_id, get_current_timestamp(), published_at) as published_at,
    if(build_id = $build_id, $generation, generation) as generation,
    if(build_id = $build_id, cast($changes as json), changes) as changes
)
from raw.builds
order by started_at
