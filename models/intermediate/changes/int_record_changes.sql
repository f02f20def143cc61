-- One row per touch or contact that is new, gone or corrected since the last publication (R3, R9, R27). A record that was
-- delivered again unchanged has no row. Empty in a full build.
with

changed_versions as (

    select * from {{ ref('int_changed_versions') }}

),

loads as (

    select * from {{ source('raw', 'loads') }}

),

last_publication as (

    select
        coalesce(last_load_id, 0) as last_load_id,
        data_through
    from {{ ref('stg_last_publication') }}

),

data_through as (

    select * from {{ ref('stg_data_through') }}

),

versions as (

    select
        changed_versions.*,
        loads.load_day,
        loads.superseded_by is null as is_live,
        loads.load_id <= last_publication.last_load_id
        and coalesce(loads.superseded_by > last_publication.last_load_id, true) as was_live
    from changed_versions
    inner join loads on changed_versions.load_id = loads.load_id
    cross join last_publication

),

ranked_versions as (

    select
        *,
        row_number() over (partition by record_key, is_live order by load_day desc, record_number desc) as version_rank,
        row_number() over (partition by record_key, was_live order by load_day desc, record_number desc) as previous_version_rank
    from versions

),

records as (

    select
        record_kind,
        record_key,
        max(
            case when was_live and previous_version_rank = 1 and record_date <= last_publication.data_through then record_number end
        ) as previous_record_number,
        max(
            case when is_live and version_rank = 1 and record_date <= data_through.data_through then record_number end
        ) as record_number,
        min(load_id) > min(last_publication.last_load_id) as is_new
    from ranked_versions
    cross join last_publication
    cross join data_through
    group by record_kind, record_key

),

replaced_records as (

    select * from records
    where previous_record_number <> record_number

),

replaced_versions as (

    select
        versions.record_key,
        versions.record_number,
        versions.load_id
    from versions
    inner join replaced_records
        on versions.record_key = replaced_records.record_key
        and versions.record_number in (replaced_records.previous_record_number, replaced_records.record_number)

),

touches as (

    select * from {{ source('raw', 'touches') }}
    where {{ are_among(source('raw', 'touches'), 'replaced_versions') }}

),

contacts as (

    select * from {{ source('raw', 'contacts') }}
    where {{ are_among(source('raw', 'contacts'), 'replaced_versions') }}

),

-- What the previous and the current version say: two rows if the record was corrected.
touch_contents as (

    select distinct
        replaced_versions.record_key,
        {{ what_a_row_says('touches') }}
    from replaced_versions
    inner join touches on replaced_versions.record_number = touches.record_number

),

corrected_touches as (

    select record_key
    from touch_contents
    group by record_key
    having count(*) > 1

),

contact_contents as (

    select distinct
        replaced_versions.record_key,
        {{ what_a_row_says('contacts') }}
    from replaced_versions
    inner join contacts on replaced_versions.record_number = contacts.record_number

),

corrected_contacts as (

    select record_key
    from contact_contents
    group by record_key
    having count(*) > 1

)

select
    record_kind,
    record_key,
    is_new,
    previous_record_number is not null and record_number is not null as is_corrected
from records
where (previous_record_number is null) <> (record_number is null)
    or record_key in (select record_key from corrected_touches)
    or record_key in (select record_key from corrected_contacts)
