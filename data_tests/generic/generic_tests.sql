{#
The columns that tell rows apart: unique together, and never null except `optional_columns`, of which null is a value like any
other. One test for both, as each test costs every build. Of a mart that accumulates, `affected_by` names the column that says
which rows this build replaced: those of `affected_contacts`.
#}
{% test key(model, column_name=none, columns=none, optional_columns=[], affected_by=none, affected_contacts=none) %}
{% set columns = columns or [column_name] %}
select {{ (columns + optional_columns) | join(', ') }}
from {{ model }}
where {{ is_affected(affected_by, affected_contacts) }}
group by {{ (columns + optional_columns) | join(', ') }}
having count(*) > 1 or {{ columns | join(' is null or ') }} is null
{% endtest %}

{# Columns that are never null. #}
{% test complete(model, columns, affected_by=none, affected_contacts=none) %}
select {{ columns | join(', ') }}
from (
    select *
    from {{ model }}
    where {{ is_affected(affected_by, affected_contacts) }}
) as rows_of_model
where {{ columns | join(' is null or ') }} is null
{% endtest %}

{# Nothing got lost or doubled between two layers. #}
{% test same_row_count(model, to, condition='true', affected_by=none, affected_contacts=none) %}
select counts.*
from (
    select
        (select count(*) from {{ model }} where {{ is_affected(affected_by, affected_contacts) }}) as row_count,
        (select count(*) from {{ to }} where {{ condition }}) as expected_row_count
) as counts
where counts.row_count <> counts.expected_row_count
{% endtest %}

{# R28: of the contacts, those that are the same event as another stay out, and no others. #}
{% test all_contacts_are_accounted_for(model, contacts, same_events) %}
select counts.*
from (
    select
        (select count(*) from {{ model }}) as row_count,
        (select count(*) from {{ same_events }} where kind = 'contact') as left_out_count,
        (select count(*) from {{ contacts }}) as expected_row_count
) as counts
where counts.row_count + counts.left_out_count <> counts.expected_row_count
{% endtest %}

{# R4, R6: icon, verdict, counts, channels, chain and instants of a contact say the same. #}
{% test multichannel_verdicts_follow_the_counts(model) %}
select *
from {{ model }}
where is_multichannel <> (touch_count >= 2 and channel_count >= 2)
    or icon <> case when is_multichannel then 'multichannel' when touch_count > 0 then 'single_channel' else 'no_touches' end
    or channel_count <> coalesce(len(channels), 0)
    or channel_count > touch_count
    or (touch_count > 0) <> (touch_chain is not null)
    or (touch_count > 0) <> (first_touch_at is not null)
    or first_touch_at > last_touch_at
    or (touch_count > 0) <> (last_touch_at is not null)
    or last_touch_at >= {{ counting_ends_at('contacted_at') }}
{% endtest %}

{# A history is as long as the journal says, its ranks without a gap, all its touches before the contact. #}
{% test histories_follow_the_journal(model, journal, affected_contacts) %}
with histories as (
    select
        contact_id,
        count(*) as kept_count,
        min(touch_rank) as first_rank,
        max(touch_rank) as last_rank,
        max(touched_at) as last_touch_at
    from {{ model }}
    where {{ is_affected('contact_id', affected_contacts) }}
    group by contact_id
)
select journal.contact_id
from {{ journal }} as journal
full outer join histories on journal.contact_id = histories.contact_id
where (journal.is_multichannel is distinct from (histories.contact_id is not null))
    or histories.kept_count <> least(journal.touch_count, {{ var('history_touch_limit') }})
    or histories.last_rank <> journal.touch_count
    or histories.first_rank <> journal.touch_count - histories.kept_count + 1
    or histories.last_touch_at <> journal.last_touch_at
{% endtest %}

{# The card's counts are the journal's. #}
{% test client_counts_follow_the_journal(model, journal, affected_contacts) %}
with journal as (
    select
        client_id,
        count(*) as contact_count,
        sum(case when is_multichannel then 1 else 0 end) as multichannel_contact_count
    from {{ journal }}
    group by client_id
),
cards as (
    select *
    from {{ model }}
    where {{ is_affected('first_contact_id', affected_contacts) }}
)
select cards.client_id
from cards
full outer join journal on cards.client_id = journal.client_id
where (cards.contact_count is distinct from journal.contact_count)
    or (cards.multichannel_contact_count is distinct from journal.multichannel_contact_count)
{% endtest %}

{# Every delivered row was either loaded or rejected (R25). #}
{% test delivered_is_loaded_plus_rejected(model) %}
select load_id
from {{ model }}
where delivered_count <> loaded_count + rejected_count
    or delivered_count <> coalesce(list_sum(list_transform(files, lambda file: file.delivered_count)), 0)
    or len(list_filter(files, lambda file: file.delivered_count <> file.loaded_count + file.rejected_count)) > 0
{% endtest %}

{# All rows of each affected cluster were found: then nothing outside belongs to it. #}
{% test clusters_are_whole(model) %}
select
    row_id - cluster_position as first_row_id,
    cluster_size
from {{ model }}
group by row_id - cluster_position, cluster_size
having count(*) <> cluster_size
{% endtest %}

{#
No identifier is in two groups: then a group holds all that is tied to it. Asked of all, and so in full builds only: others
take groups as they were, and whole.
#}
{% test clusters_are_complete(model) %}
-- Few, by chance, of very many: only their keys need be read.
with of_several_groups as (
    select identifier_bucket
    from {{ model }}
    where {{ is_full_build() }}
    group by identifier_bucket
    having min(cluster_bucket) <> max(cluster_bucket)
)
select identifier_key
from {{ model }}
where identifier_bucket in (select identifier_bucket from of_several_groups)
group by identifier_key
having min(cluster_bucket) <> max(cluster_bucket)
{% endtest %}

{# Each of a client's touches counts for a contact, or is told why it doesn't. #}
{% test all_touches_are_accounted_for(model, touches) %}
with clients as (
    select
        client_id,
        count(*) as client_touch_count
    from {{ touches }}
    group by client_id
)
select model.contact_id
from {{ model }} as model
left join clients on model.client_id = clients.client_id
where model.touch_count + model.later_touch_count + model.earlier_touch_count + model.left_out_direct_count
    <> coalesce(clients.client_touch_count, 0)
    or least(model.touch_count, model.later_touch_count, model.earlier_touch_count, model.left_out_direct_count) < 0
{% endtest %}

{# What touches earned of a contact that this build worked out is exactly the contact, by every model; and every contact is there. #}
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

{#
Counts that are brought up to date by what changed are those of all chains, told by their ends and by checksums: sums of whole
columns cost little, however many rows they have. A build that was cut short may have left one of the tables as it was.
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

{# By the data-driven models too, and for all contacts. Asked in full builds only; of what is published, its audit asks. #}
{% test all_credits_sum_to_one(model) %}
select contact_id
from {{ model }}
where {{ is_full_build() }}
group by contact_id
having min(least({{ attribution_model_names() | join(', ') }})) < 0
    {% for name in attribution_model_names() %}
    or sum({{ name }}) <> 1
    {% endfor %}
{% endtest %}

{# All that was spent is spent on some channel, once. #}
{% test spend_in_is_spend_out(model, costs) %}
select sums.*
from (
    select
        (select coalesce(sum(amount), 0) from {{ costs }}) as spend_in,
        (select coalesce(sum(amount), 0) from {{ model }}) as spend_out,
        (select count(*) from {{ costs }}) as row_count_in,
        (select count(*) from {{ model }}) as row_count_out
) as sums
where sums.spend_in <> sums.spend_out or sums.row_count_in <> sums.row_count_out
{% endtest %}

{# By each model. Asked in full builds only; of what is published, its audit asks. #}
{% test performance_is_all_that_was_spent_and_earned(model, journal, costs) %}
with totals as (
    select
        model,
        sum(spend) as spend,
        sum(credited_contacts) as credited_contacts,
        sum(credited_value) as credited_value
    from {{ model }}
    where {{ is_full_build() }}
    group by model
),
journal as (
    select
        count(*) as contact_count,
        coalesce(sum(value), 0) as value
    from {{ journal }}
),
costs as (
    select coalesce(sum(amount), 0) as spend
    from {{ costs }}
)
select totals.*
from totals
cross join journal
cross join costs
where totals.spend <> costs.spend
    or totals.credited_contacts <> journal.contact_count
    or totals.credited_value <> journal.value
{% endtest %}
