-- One row per touch or contact of a client that is left out as the same event as another (R28).
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ drop_affected_contacts(this, 'first_contact_id', ref('int_affected_contacts')) }}") }}

with

clients as (

    select
        cluster_key,
        client_id,
        contact_id as first_contact_id
    from {{ ref('int_contact_clients') }}
    where contact_number = 1

)

select
    same_events.kind,
    same_events.id,
    same_events.delivered_by,
    same_events.same_as,
    clients.client_id,
    clients.first_contact_id
from {{ ref('int_same_events') }} as same_events
inner join clients on same_events.cluster_key = clients.cluster_key
