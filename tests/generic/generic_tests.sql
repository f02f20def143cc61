{#
Tells rows apart, alone or with other columns: unique, and never null but for `optional_columns`, of which null is a value
like any other. One test for both, as each costs every build.
#}
{% test key(model, column_name=none, columns=none, optional_columns=[]) %}
{% set columns = columns or [column_name] %}
select {{ (columns + optional_columns) | join(', ') }}
from {{ model }}
group by {{ (columns + optional_columns) | join(', ') }}
having count(*) > 1 or {{ columns | join(' is null or ') }} is null
{% endtest %}

{# Columns that are never null. #}
{% test complete(model, columns) %}
select {{ columns | join(', ') }}
from {{ model }}
where {{ columns | join(' is null or ') }} is null
{% endtest %}

{# Nothing got lost or doubled between two layers. #}
{% test same_row_count(model, to, condition='true') %}
select counts.*
from (
    select
        (select count(*) from {{ model }}) as row_count,
        (select count(*) from {{ to }} where {{ condition }}) as expected_row_count
) as counts
where counts.row_count <> counts.expected_row_count
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
{% test histories_follow_the_journal(model) %}
with histories as (
    select
        contact_id,
        count(*) as kept_count,
        min(touch_rank) as first_rank,
        max(touch_rank) as last_rank,
        max(touched_at) as last_touch_at
    from {{ model }}
    group by contact_id
)
select journal.contact_id
from {{ ref('int_journal') }} as journal
full outer join histories on journal.contact_id = histories.contact_id
where (journal.is_multichannel is distinct from (histories.contact_id is not null))
    or histories.kept_count <> least(journal.touch_count, {{ var('history_touch_limit') }})
    or histories.last_rank <> journal.touch_count
    or histories.first_rank <> journal.touch_count - histories.kept_count + 1
    or histories.last_touch_at <> journal.last_touch_at
{% endtest %}

{# The card's counts are the journal's. #}
{% test client_counts_follow_the_journal(model) %}
with journal as (
    select
        client_id,
        count(*) as contact_count,
        sum(case when is_multichannel then 1 else 0 end) as multichannel_contact_count
    from {{ ref('int_journal') }}
    group by client_id
)
select model.client_id
from {{ model }} as model
full outer join journal on model.client_id = journal.client_id
where (model.contact_count is distinct from journal.contact_count)
    or (model.multichannel_contact_count is distinct from journal.multichannel_contact_count)
{% endtest %}

{# Every delivered row was either loaded or set aside (R25). #}
{% test delivered_is_loaded_plus_set_aside(model) %}
select load_id
from {{ model }}
where delivered_count <> loaded_count + rejected_count
    or delivered_count <> coalesce(list_sum(list_transform(files, lambda file: file.delivered_count)), 0)
    or len(list_filter(files, lambda file: file.delivered_count <> file.loaded_count + file.rejected_count)) > 0
{% endtest %}

{# What was found of each group is all of it, and nothing else: then nothing outside is tied to anything in here. #}
{% test groups_are_whole(model, groups) %}
with found as (
    select
        place - group_position as first_place,
        group_size,
        count(*) as found_count
    from {{ model }}
    group by 1, 2
)
select *
from {{ groups }} as groups
full outer join found on groups.first_place = found.first_place and groups.group_size = found.group_size
where groups.group_size is distinct from found.found_count
{% endtest %}

{#
No identifier is in two groups: then a group holds all that is tied to it. Asked of all, and so in full builds only: others
take groups as they were, and whole.
#}
{% test groups_are_complete(model) %}
-- Few, by chance, of very many: only their keys need be read.
with of_several_groups as (
    select identifier_class
    from {{ model }}
    where {{ is_full_build() }}
    group by identifier_class
    having min(group_class) <> max(group_class)
)
select identifier_key
from {{ model }}
where identifier_class in (select identifier_class from of_several_groups)
group by identifier_key
having min(group_class) <> max(group_class)
{% endtest %}
