-- One row per contact of the affected clients, typed. What ties nothing is no identifier (R15).
with

record_groups as (

    select * from {{ ref('int_record_groups') }}
    where record_kind = 'contact'

),

contacts as (

    select * from {{ source('raw', 'contacts') }}
    where {{ are_among(source('raw', 'contacts'), 'record_groups') }}

)

select
    contacts.contact_id,
    record_groups.identifier_group,
    contacts.widget_id,
    {{ instant('contacts.contacted_at') }} as contacted_at,
    {{ word('contacts.contact_type') }} as contact_type,
    {{ tying('visitor_id', 'contacts.visitor_id') }} as visitor_id,
    {{ tying('yandex_client_id', 'contacts.yandex_client_id') }} as yandex_client_id,
    {{ tying('google_client_id', 'contacts.google_client_id') }} as google_client_id,
    {{ tying('crm_client_id', 'contacts.crm_client_id') }} as crm_client_id,
    contacts.phone,
    contacts.email,
    contacts.client_name,
    contacts.location,
    contacts.final_group,
    {{ boolean('contacts.is_unique') }} as is_unique,
    contacts.call_page,
    {{ seconds('contacts.duration') }} as duration,
    {{ money('contacts.value') }} as value,
    contacts.delivered_by,
    contacts.attributes
from contacts
inner join record_groups on contacts.record_number = record_groups.record_number
