-- One row per identity of several identifiers, and identifier: what is tied to what, of all clients and of all who may become one.
-- An identity goes by the latest record that carries it: a number is read in far less than a key.
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ drop_affected_groups(this) }}") }}

with

ties as (

    select * from {{ ref('int_ties') }}

),

identity_groups as (

    -- Classed before they are joined: in a full build all that is joined has to be held, and keys are four times as long.
    select
        identity_key,
        {{ key_class('group_key') }} as group_class
    from {{ ref('int_identity_groups') }}

)

select
    ties.record_number,
    ties.load_id,
    ties.identifier_key,
    {{ key_class('ties.identifier_key') }} as identifier_class,
    identity_groups.group_class
from ties
inner join identity_groups on ties.identity_key = identity_groups.identity_key
-- People come back within days or weeks: those of a day are found in few places.
order by ties.record_number
