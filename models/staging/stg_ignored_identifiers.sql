-- One row per kind of identifier and value that ties nothing (R15), in the form its kind is compared in (R13, R14).
{{ config(materialized='table') }}

with

ignored as (

    select
        identifier_kind,
        identifier
    from {{ ref('ignored_identifiers') }}

),

phones as (

    select * from {{ ref('stg_phones') }}

),

emails as (

    select * from {{ ref('stg_emails') }}

),

kinds as (

    {{ rows_of_text('identifier_kind', ['visitor_id', 'yandex_client_id', 'google_client_id', 'crm_client_id', 'phone', 'email']) }}

),

-- An entry without a kind holds for every kind.
ignored_kinds as (

    select
        kinds.identifier_kind,
        ignored.identifier
    from ignored
    inner join kinds on coalesce(ignored.identifier_kind, kinds.identifier_kind) = kinds.identifier_kind

)

select distinct
    ignored_kinds.identifier_kind,
    case ignored_kinds.identifier_kind
        when 'phone' then coalesce(phones.number, ignored_kinds.identifier)
        when 'email' then coalesce(emails.address, {{ lower_case('ignored_kinds.identifier') }})
        when 'google_client_id' then {{ google_client_id('ignored_kinds.identifier') }}
        else ignored_kinds.identifier
    end as identifier
from ignored_kinds
left join phones on ignored_kinds.identifier = phones.phone
left join emails on ignored_kinds.identifier = emails.email
