-- One row per delivered version of a contact (R3), with its report date (R10) and the identifiers that tie it (R13, R14, R15).
-- Holds only what a build needs to find the version again.
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ drop_replaced_versions(this, source('raw', 'loads'), ref('stg_last_publication')) }}") }}

with

contacts as (

    select * from {{ source('raw', 'contacts') }}
    where {{ are_missing_in(this, source('raw', 'loads')) }}

),

phones as (

    select * from {{ ref('stg_phones') }}

),

emails as (

    select * from {{ ref('stg_emails') }}

),

widgets as (

    select * from {{ ref('widgets') }}

),

ignored as (

    {{ lists_of_ignored(ref('placeholders'), ref('stg_ignored_identifiers')) }}

),

contacts_with_brands as (

    select
        contacts.record_number,
        contacts.load_id,
        contacts.contact_id,
        {{ report_date(instant('contacts.contacted_at')) }} as record_date,
        coalesce(widgets.brand_id, 'default') as brand_id,
        {{ identifying('visitor_id', 'contacts.visitor_id', 'ignored') }} as visitor_id,
        {{ identifying('yandex_client_id', 'contacts.yandex_client_id', 'ignored') }} as yandex_client_id,
        {{ identifying('google_client_id', 'contacts.google_client_id', 'ignored') }} as google_client_id,
        {{ identifying('crm_client_id', 'contacts.crm_client_id', 'ignored') }} as crm_client_id,
        {{ identifying('phone', 'phones.number', 'ignored') }} as phone,
        {{ identifying('email', 'emails.address', 'ignored') }} as email
    from contacts
    left join phones on contacts.phone = phones.phone
    left join emails on contacts.email = emails.email
    left join widgets on contacts.widget_id = widgets.widget_id
    cross join ignored

),

contacts_with_keys as (

    select
        record_number,
        load_id,
        {{ record_key('contact', 'contact_id') }} as record_key,
        record_date,
        {{ identifier_keys('brand_id', ['visitor_id', 'yandex_client_id', 'google_client_id', 'crm_client_id', 'phone', 'email']) }} as identifier_keys
    from contacts_with_brands

),

versions as (

    select
        *,
        {{ identity_key('identifier_keys') }} as identity_key
    from contacts_with_keys

)

select
    record_number,
    load_id,
    record_key,
    {{ hash_prefix('record_key') }} as record_key_prefix,
    record_date,
    identity_key,
    {{ hash_bucket('identity_key') }} as identity_bucket,
    {{ if_several('identifier_keys') }} as identifier_keys
from versions
