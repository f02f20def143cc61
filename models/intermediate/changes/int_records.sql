-- One row per touch or contact of an affected identity: its newest version (R3), if its day has come (R9). Without identifiers a
-- contact takes part and a touch doesn't (R15, R16).
with

affected_identities as (

    select * from {{ ref('int_affected_identities') }}

),

changed_records as (

    select * from {{ ref('int_changed_records') }}

),

loads as (

    select * from {{ ref('stg_loads') }}

),

repeated_versions as (

    select * from {{ ref('int_repeated_versions') }}

),

ranked_versions as (

    select
        repeated_versions.*,
        row_number() over (
            partition by repeated_versions.record_key
            order by loads.load_day desc, repeated_versions.record_number desc
        ) as version_rank
    from repeated_versions
    inner join loads on repeated_versions.load_id = loads.load_id
    {{ of_affected_records('repeated_versions', 'affected_identities', 'changed_records') }}

),

only_versions as (

    select * from {{ ref('int_record_keys') }}
    where {{ perhaps_of_affected_identities(ref('int_record_keys'), 'affected_identities') }}

),

-- A record without identifiers belongs to no cluster, so only a changed one is affected.
unidentified_versions as (

    select * from {{ ref('int_changed_versions') }}
    where identity_key is null

),

newest_versions as (

    select
        record_kind,
        record_number,
        load_id,
        record_date,
        identity_key,
        identifier_keys
    from ranked_versions
    where version_rank = 1
    union all
    select
        record_kind,
        record_number,
        load_id,
        record_date,
        identity_key,
        identifier_keys
    from only_versions
    where
        not exists (
            select 1 from repeated_versions
            where repeated_versions.record_number = only_versions.record_number
        )
    union all
    select
        record_kind,
        record_number,
        load_id,
        record_date,
        identity_key,
        identifier_keys
    from unidentified_versions
    where
        not exists (
            select 1 from repeated_versions
            where repeated_versions.record_number = unidentified_versions.record_number
        )

),

data_through as (

    select * from {{ ref('stg_data_through') }}

)

select
    newest_versions.record_kind,
    newest_versions.record_number,
    newest_versions.load_id,
    newest_versions.identity_key,
    -- Take an identity's identifiers from where they are known, rather than read them again with each of its records.
    {{ 'newest_versions' if is_full_build() else 'affected_identities' }}.identifier_keys
from newest_versions
inner join loads on newest_versions.load_id = loads.load_id
inner join data_through on newest_versions.record_date <= data_through.data_through
left join affected_identities on newest_versions.identity_key = affected_identities.identity_key
where case
        -- Without identifiers a contact is a client of its own, and a touch is nobody's (R15, R16).
        when newest_versions.identity_key is null then newest_versions.record_kind = 'contact'
        else {{ is_full_build() }} or affected_identities.identity_key is not null
    end
