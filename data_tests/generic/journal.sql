{# R28: every contact is there, except those that are the same event as another. #}
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

{# Why: each of a client's touches counts for a contact or is counted under the reason why it doesn't. #}
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

{# R4, R6: the icon, verdict, counts, channels, chain and instants of a contact agree. #}
{% test multichannel_verdicts_follow_the_counts(model, affected_contacts) %}
with journal as (
    select * from {{ model }}
    where {{ is_affected('contact_id', affected_contacts) }}
)
select *
from journal
where is_multichannel <> (touch_count >= 2 and channel_count >= 2)
    or icon <> case when is_multichannel then 'multichannel' when touch_count > 0 then 'single_channel' else 'no_touches' end
    or channel_count <> coalesce({{ length_of('channels') }}, 0)
    or channel_count > touch_count
    or (touch_count > 0) <> (touch_chain is not null)
    or (touch_count > 0) <> (first_touch_at is not null)
    or first_touch_at > last_touch_at
    or (touch_count > 0) <> (last_touch_at is not null)
    or last_touch_at >= {{ counting_ends_at('contacted_at') }}
{% endtest %}

{# R5, R7: a history is as long as the journal says, has no gap in its ranks, and ends with the last touch that counts. #}
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

{# The counts of the client card are the journal's. #}
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
