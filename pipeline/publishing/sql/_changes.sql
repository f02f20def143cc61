-- R27: contacts of which the journal says something else than in the generation before, and why. One row per contact.
with

previous_journal as (

    select
        contact_id,
        icon,
        touch_count,
        touch_chain,
        client_id
    from {{ previous_journal }}

),

journal as (

    select
        contact_id,
        icon,
        touch_count,
        touch_chain,
        client_id
    from {{ current_journal }}

),

merged_clients as (

    select journal.client_id
    from journal
    inner join previous_journal using (contact_id)
    group by journal.client_id
    having count(distinct previous_journal.client_id) > 1

),

split_clients as (

    select previous_journal.client_id
    from journal
    inner join previous_journal using (contact_id)
    group by previous_journal.client_id
    having count(distinct journal.client_id) > 1

),

compared as (

    select
        coalesce(journal.contact_id, previous_journal.contact_id) as contact_id,
        case
            when previous_journal.contact_id is null then 'new'
            when journal.contact_id is null then 'removed'
            when previous_journal.icon <> journal.icon then 'other verdict'
            when previous_journal.touch_count <> journal.touch_count then 'other touches'
            when previous_journal.touch_chain <> journal.touch_chain then 'other channels'
            else 'other client'
        end as change,
        previous_journal.icon as former_icon,
        journal.icon,
        previous_journal.touch_count as former_touch_count,
        journal.touch_count,
        previous_journal.client_id as former_client_id,
        journal.client_id
    from previous_journal
    full join journal on previous_journal.contact_id = journal.contact_id
    where (previous_journal.icon, previous_journal.touch_count, previous_journal.touch_chain, previous_journal.client_id)
        is distinct from (journal.icon, journal.touch_count, journal.touch_chain, journal.client_id)

)

select
    compared.contact_id,
    compared.change,
    case
        when {{ is_full }} then 'everything was built anew'
        -- R28: it was there before, and still is, but another one took its place or gave it back.
        when compared.change in ('new', 'removed') and not contact_changes.is_changed then {{ other_contact }}
        when compared.change = 'new' and not contact_changes.is_corrected then 'the contact was delivered'
        when compared.change = 'removed' and not contact_changes.is_corrected then 'the contact was removed'
        when contact_changes.is_changed then 'the contact was corrected'
        when merged_clients.client_id is not null then 'clients were merged'
        when split_clients.client_id is not null then 'a client was split'
        when compared.change = 'other client' and contact_changes.has_changed_contacts then {{ other_contact }}
        when contact_changes.has_new_touches then 'a touch came late'
        when contact_changes.has_changed_touches then 'a touch was corrected or removed'
        when contact_changes.has_changed_contacts then {{ other_contact }}
        else 'identifiers were tied or untied'
    end as reason,
    compared.former_icon,
    compared.icon,
    compared.former_touch_count,
    compared.touch_count,
    compared.former_client_id,
    compared.client_id
from compared
left join intermediate.int_contact_changes as contact_changes on compared.contact_id = contact_changes.contact_id
left join merged_clients on compared.client_id = merged_clients.client_id
left join split_clients on compared.former_client_id = split_clients.client_id
order by compared.contact_id
