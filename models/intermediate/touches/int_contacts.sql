-- One row per contact of the affected clients, with its values read (R1, R10, R25), its brand (R13), its phone and email address
-- (R14), and the identifiers that tie it (R13, R15). A table, as many models read it.
{{ config(materialized='table') }}

with

record_clusters as (

    select * from {{ ref('int_record_clusters') }}
    where record_kind = 'contact'

),

contacts as (

    select * from {{ source('raw', 'contacts') }}
    where {{ may_be_among(source('raw', 'contacts'), 'record_clusters') }}

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

typed_contacts as (

    select
        contacts.*,
        {{ instant('contacts.contacted_at') }} as contacted_instant
    from contacts

)

select
    typed_contacts.record_number,
    typed_contacts.contact_id,
    typed_contacts.widget_id,
    coalesce(widgets.widget_name, typed_contacts.widget_id) as widget_name,
    coalesce(widgets.brand_id, 'default') as brand_id,
    typed_contacts.contacted_instant as contacted_at,
    {{ report_date('typed_contacts.contacted_instant') }} as contact_date,
    {{ word('typed_contacts.contact_type') }} as contact_type,
    record_clusters.cluster_key,
    {{ identifying('visitor_id', 'typed_contacts.visitor_id', 'ignored') }} as visitor_id,
    {{ identifying('yandex_client_id', 'typed_contacts.yandex_client_id', 'ignored') }} as yandex_client_id,
    {{ identifying('google_client_id', 'typed_contacts.google_client_id', 'ignored') }} as google_client_id,
    {{ identifying('crm_client_id', 'typed_contacts.crm_client_id', 'ignored') }} as crm_client_id,
    coalesce(phones.number, typed_contacts.phone) as phone,
    phones.number as valid_phone,
    emails.address as valid_email,
    {{ identifying('phone', 'phones.number', 'ignored') }} as identifying_phone,
    {{ identifying('email', 'emails.address', 'ignored') }} as identifying_email,
    typed_contacts.client_name,
    typed_contacts.location,
    typed_contacts.final_group,
    {{ boolean('typed_contacts.is_unique') }} as is_unique,
    typed_contacts.call_page,
    {{ seconds('typed_contacts.duration') }} as duration,
    {{ money('typed_contacts.value') }} as value,
    typed_contacts.delivered_by,
    typed_contacts.attributes
from typed_contacts
inner join record_clusters on typed_contacts.record_number = record_clusters.record_number
left join phones on typed_contacts.phone = phones.phone
left join emails on typed_contacts.email = emails.email
left join widgets on typed_contacts.widget_id = widgets.widget_id
cross join ignored
