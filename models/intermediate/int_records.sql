-- One row per touch or contact that may be of an affected client: its newest version (R3), if its day has come (R9).
with

versions as (

    select * from {{ ref('int_record_keys') }}
    {{ of_affected_identities(ref('int_record_keys')) }}

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

    select record_key
    from live_versions
    group by record_key
    having count(*) > 1

),

ranked_versions as (

    select
        *,
        row_number() over (partition by record_key order by load_day desc, record_number desc) as version_rank
    from live_versions
    where record_key in (select record_key from repeated)

),

newest_versions as (

    select
        record_kind,
        record_number,
        load_id,
        record_date,
        identity_key,
        identifier_keys
    from live_versions
    where record_key not in (select record_key from repeated)
    union all
    select
        record_kind,
        record_number,
        load_id,
        record_date,
        identity_key,
        identifier_keys
    from ranked_versions
    where version_rank = 1

),

affected_identities as (

    select * from {{ ref('int_affected_identities') }}

),

data_through as (

    select * from {{ ref('int_data_through') }}

)

select
    newest_versions.record_kind,
    newest_versions.record_number,
    newest_versions.load_id,
    newest_versions.identity_key,
    -- What is known of an identity needn't be read again with each of its records.
    {{ 'newest_versions' if is_full_build() else 'affected_identities' }}.identifier_keys
from newest_versions
inner join data_through on newest_versions.record_date <= data_through.data_through
left join affected_identities on newest_versions.identity_key = affected_identities.identity_key
where case
        -- Who left nothing to be known by is a client by a contact, and nobody by a touch (R15, R16).
        when newest_versions.identity_key is null then newest_versions.record_kind = 'contact'
        else {{ is_full_build() }} or affected_identities.identity_key is not null
    end
