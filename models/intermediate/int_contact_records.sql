-- One row per contact that may be of an affected client: its newest version (R3), if its day has come (R9).
with

versions as (

    select * from {{ ref('stg_contact_keys') }}
    {{ of_affected_identities(ref('stg_contact_keys'), 'contact_key', 'contact') }}

),

loads as (

    select * from {{ ref('stg_loads') }}

),

live_versions as (

    select
        versions.*,
        loads.load_day
    from versions
    inner join loads on versions.load_id = loads.load_id

),

-- Nearly all have one version only, and ranking takes more memory than counting.
repeated as (

    select contact_key
    from live_versions
    group by contact_key
    having count(*) > 1

),

ranked_versions as (

    select
        live_versions.*,
        row_number() over (
            partition by live_versions.contact_key
            order by live_versions.load_day desc, live_versions.record_number desc
        ) as version_rank
    from live_versions
    where live_versions.contact_key in (select contact_key from repeated)

),

newest_versions as (

    select
        record_number,
        contact_date,
        identity_key,
        identifier_keys
    from live_versions
    where contact_key not in (select contact_key from repeated)
    union all
    select
        record_number,
        contact_date,
        identity_key,
        identifier_keys
    from ranked_versions
    where version_rank = 1

),

data_through as (

    select * from {{ ref('int_data_through') }}

)

select
    newest_versions.record_number,
    newest_versions.identity_key,
    newest_versions.identifier_keys
from newest_versions
inner join data_through on newest_versions.contact_date <= data_through.data_through
where newest_versions.identity_key is null
    or {{ is_affected('newest_versions.identity_key') }}
