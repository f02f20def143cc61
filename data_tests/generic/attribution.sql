{# Attribution: by every model that looks only at the contact, the credits of each affected contact add up to exactly 1. None is missing. #}
{% test credits_sum_to_one(model, journal, affected_contacts) %}
with credits as (
    select
        contact_id,
        count(*) as touch_count,
        {% for name in attribution_model_names(is_data_driven=false) %}
        sum({{ name }}) as {{ name }},
        {% endfor %}
        min(least({{ attribution_model_names(is_data_driven=false) | join(', ') }})) as least_credit
    from {{ model }}
    where {{ is_affected('contact_id', affected_contacts) }}
    group by contact_id
)
select journal.contact_id
from {{ journal }} as journal
full outer join credits on journal.contact_id = credits.contact_id
where journal.contact_id is null
    or credits.contact_id is null
    or credits.least_credit < 0
    or credits.touch_count <> greatest(least(journal.touch_count, {{ var('history_touch_limit') }}), 1)
    {% for name in attribution_model_names(is_data_driven=false) %}
    or credits.{{ name }} <> 1
    {% endfor %}
{% endtest %}

{# Attribution: by every model, the data-driven ones too, the credits of each contact add up to exactly 1. Only full builds run it. In
other builds, `credits_sum_to_one` checks affected contacts by the other models, and the audit of each publication checks that each
path's credits by the data-driven models add up to 1. #}
{% test all_credits_sum_to_one(model) %}
select contact_id
from {{ model }}
group by contact_id
having min(least({{ attribution_model_names() | join(', ') }})) < 0
    {% for name in attribution_model_names() %}
    or sum({{ name }}) <> 1
    {% endfor %}
{% endtest %}

{#
Attribution: counts that were updated with the chains that changed equal the counts of all chains. Compares the chains' ends, and
checksums: sums of whole columns cost little, however many rows there are. A build that was cut short may have left one of the two
tables as it was.
#}
{% test steps_are_those_of_all_chains(model, chains, journal) %}
with counted as (
    select
        sum(case when to_channel is null then contact_count else 0 end) as contact_count,
        sum(case when to_channel is null then other_count else 0 end) as other_count,
        sum(contact_count * {{ checksum(step_key('brand_id', 'from_channel', 'to_channel')) }}) as contacts_checksum,
        sum(other_count * {{ checksum(step_key('brand_id', 'from_channel', 'to_channel')) }}) as others_checksum
    from {{ model }}
),
chains as (
    select
        count(contact_id) as contact_count,
        count(cluster_key) as other_count,
        coalesce(sum(case when contact_id is not null then steps_checksum end), 0) as contacts_checksum,
        coalesce(sum(case when contact_id is null then steps_checksum end), 0) as others_checksum
    from {{ chains }}
)
{{ counts_that_differ() }}
    or chains.contact_count <> (select count(*) from {{ journal }} where touch_count > 0)
{% endtest %}

{# Attribution: the same for sets of channels. #}
{% test sets_are_those_of_all_chains(model, chains) %}
with counted as (
    select
        sum(contact_count) as contact_count,
        sum(other_count) as other_count,
        sum(contact_count * {{ checksum(set_key('brand_id', 'channels')) }}) as contacts_checksum,
        sum(other_count * {{ checksum(set_key('brand_id', 'channels')) }}) as others_checksum
    from {{ model }}
),
chains as (
    select
        count(contact_id) as contact_count,
        count(cluster_key) as other_count,
        coalesce(sum(case when contact_id is not null then set_checksum end), 0) as contacts_checksum,
        coalesce(sum(case when contact_id is null then set_checksum end), 0) as others_checksum
    from {{ chains }}
)
{{ counts_that_differ() }}
{% endtest %}
