{#
How a build finds what changed. Progress is counted in loads and acknowledged by publication: whatever was loaded or
replaced since the last published build is worked out anew, however many builds there were in between.
(dbt learns what a model depends on from the refs that it meets while parsing, so none of them is inside a condition.)
#}

{# Whether this build takes everything anew, whatever changed. #}
{% macro is_full_build() -%}
    {{ return(flags.FULL_REFRESH) }}
{%- endmacro %}

{#
An accumulating table that isn't there can't be made out of what changed. `load` asks for a full build by itself
wherever one is due; this stops whoever dropped a table, or runs dbt by hand.
#}
{% macro is_accumulated() -%}
    {%- if execute and not is_incremental() and not is_full_build() -%}
    {{ exceptions.raise_compiler_error(this ~ " isn't there, and can't be made out of changes: build everything with --full-refresh") }}
    {%- endif -%}
    {{ return(is_incremental()) }}
{%- endmacro %}

{# Loads whose rows an append-only table doesn't hold yet. #}
{% macro loads_missing_in(relation) -%}
    select load_id
    from {{ source('raw', 'loads') }}
    where outcome = 'loaded'
    {%- if is_incremental() %} and load_id > (select coalesce(max(load_id), 0) from {{ relation }}){% endif %}
{%- endmacro %}

{# The loader drops replaced rows once a build that knows of their replacement is published; so does what was derived from them. #}
{% macro drop_replaced_versions(relation) -%}
    {%- set last_publication = ref('int_last_publication') -%}
    {%- if is_accumulated() -%}
    delete from {{ relation }}
    where load_id in (
        select loads.load_id
        from {{ source('raw', 'loads') }} as loads
        where loads.superseded_by <= (select last_load_id from {{ last_publication }})
    )
    {%- endif -%}
{%- endmacro %}

{# Takes out of an accumulating table what this build works out anew: before it is put back, in the same transaction. #}
{% macro drop_affected_contacts(relation, contact_id) -%}
    {%- set affected_contacts = ref('int_affected_contacts') -%}
    {%- if is_accumulated() -%}
    delete from {{ relation }}
    where {{ contact_id }} in (select contact_id from {{ affected_contacts }})
    {%- endif -%}
{%- endmacro %}

{% macro drop_changed_records(relation) -%}
    {%- set changed_records = ref('int_changed_records') -%}
    {%- if is_accumulated() -%}
    delete from {{ relation }}
    where record_key in (select record_key from {{ changed_records }})
    {%- endif -%}
{%- endmacro %}

{#
By where they lay when they were found, which is far less to read than what they are found by; rows stay where they are but
for a checkpoint that closes the gaps of a build that was cut short. If one has moved, they are found anew.
#}
{% macro drop_affected_groups(relation) -%}
    {%- set affected_ties = ref('int_affected_ties') -%}
    {%- if is_accumulated() -%}
    {%- set moved_ties -%}
        select place, record_number, {{ key_class('identifier_key') }} from {{ affected_ties }}
        except all
        select {{ place() }}, record_number, identifier_class from {{ relation }}
        where {{ place() }} in (select place from {{ affected_ties }})
        limit 1
    {%- endset -%}
    delete from {{ relation }}
    {% if execute and run_query(moved_ties).rows | length == 0 -%}
    where {{ place() }} in (select place from {{ affected_ties }})
    {%- else -%}
    where (record_number, identifier_key) in (select (record_number, identifier_key) from {{ affected_ties }})
    {%- endif -%}
    {%- endif -%}
{%- endmacro %}

{# What a delivered row says, and not where and when it was delivered. #}
{% macro what_a_row_says(table) -%}
    {{ table }}.* exclude (load_id, file_name, row_number, record_number)
{%- endmacro %}

{# Where a row lies in its table, for as long as nothing is changed there. #}
{% macro place() -%}
    rowid
{%- endmacro %}

{# What the accumulating table of ties holds before this build changes it, and where; nothing if it is taken anew. #}
{% macro former_identifier_groups() -%}
    {%- set touch_keys = ref('stg_touch_keys') -%}
    {%- set relation = adapter.get_relation(database=target.database, schema='intermediate', identifier='int_identifier_groups') if execute -%}
    {%- if relation and not is_full_build() -%}
    (
        select
            {{ place() }} as place,
            record_number,
            identifier_key,
            identifier_class,
            group_position,
            group_size
        from {{ relation }}
    )
    {%- else -%}
    (
        select
            record_number as place,
            record_number,
            identity_key as identifier_key,
            identity_class as identifier_class,
            record_number as group_position,
            record_number as group_size
        from {{ touch_keys }}
        where false
    )
    {%- endif -%}
{%- endmacro %}

{# Touches that need not be typed again: none if everything is taken anew. #}
{% macro typed_touches() -%}
    {%- set relation = adapter.get_relation(database=target.database, schema='staging', identifier='stg_typed_touches') if execute -%}
    {%- if relation and not is_full_build() -%}
    {{ relation }}
    {%- else -%}
    (select cast(null as bigint) as record_number where false)
    {%- endif -%}
{%- endmacro %}

{#
Versions that may be of an affected identity: few of very many, so they are found by a part of its key and by where they lie
(see `are_among`). Others are among them, whose part is the same, or who lie in the same place of the other table.
#}
{% macro perhaps_of_affected_identities(versions) -%}
    {%- set affected_identities = ref('int_affected_identities') -%}
    {%- if is_full_build() -%}
    true
    {%- elif versions.is_cte -%}
    identity_key in (select identity_key from {{ affected_identities }})
    {%- else -%}
    place in (
        select place
        from {{ versions }}
        where identity_class in (select {{ key_class('identity_key') }} from {{ affected_identities }})
    )
    and identity_class is not null
    {%- endif -%}
{%- endmacro %}

{% macro all_or_changed_versions() -%}
    {%- set record_keys, changed_versions = ref('int_record_keys'), ref('int_changed_versions') -%}
    {{ record_keys if is_full_build() else changed_versions }}
{%- endmacro %}

{# All versions of the records of which some version, old or new, is of an affected identity. #}
{% macro of_affected_records(versions) -%}
    {%- set affected_identities, changed_records = ref('int_affected_identities'), ref('int_changed_records') -%}
    {%- if not is_full_build() -%}
    where record_key in (
        select record_key from {{ versions }} where identity_key in (select identity_key from {{ affected_identities }})
        union all
        select record_key from {{ changed_records }}
    )
    {%- endif -%}
{%- endmacro %}

{#
Few rows of a stored table by their numbers. An index isn't looked into for so many; a condition on numbers lets one row in
two hundred through, and one on where rows lie none, so that the wide columns are read where they are wanted only.
(Rows that a unit test writes down lie nowhere.)
#}
{% macro are_among(table, wanted) -%}
    {%- if is_full_build() or table.is_cte -%}
    record_number in (select record_number from {{ wanted }})
    {%- else -%}
    {{ place() }} in (
        select {{ place() }}
        from {{ table }}
        where record_number in (select record_number from {{ wanted }})
            and load_id in (select load_id from {{ wanted }})
    )
    {%- endif -%}
{%- endmacro %}

{# What the accumulating table of chains holds of the affected people before this build changes it; nothing if it is taken anew. #}
{% macro former_chains() -%}
    {%- set affected_contacts, affected_identities, new_chains = ref('int_affected_contacts'), ref('int_affected_identities'), ref('int_new_chains') -%}
    {%- set relation = adapter.get_relation(database=target.database, schema='intermediate', identifier='int_chains') if execute -%}
    {%- if relation and not is_full_build() -%}
    (
        select * from {{ relation }} where contact_id in (select contact_id from {{ affected_contacts }})
        union all
        select * from {{ relation }} where identifier_group in (select identity_key from {{ affected_identities }})
    )
    {%- else -%}
    (select * from {{ new_chains }} where false)
    {%- endif -%}
{%- endmacro %}

{% macro drop_affected_chains(relation) -%}
    {%- set affected_contacts, affected_identities = ref('int_affected_contacts'), ref('int_affected_identities') -%}
    {%- if is_accumulated() -%}
    delete from {{ relation }}
    where contact_id in (select contact_id from {{ affected_contacts }})
        or identifier_group in (select identity_key from {{ affected_identities }})
    {%- endif -%}
{%- endmacro %}

{#
Counts are brought up to date by what changed if they are those of the chains as they were: if the build before went through.
One that was cut short may have changed the chains and not yet the counts: then all chains are counted.
#}
{% macro is_counted_before() -%}
    {%- if not execute or is_full_build() -%}{{ return(false) }}{%- endif -%}
    {%- set former_build -%}
        select outcome from {{ source('raw', 'builds') }}
        where build_id <> '{{ invocation_id }}'
        order by started_at desc
        limit 1
    {%- endset -%}
    {%- set found = run_query(former_build).rows -%}
    {{ return(found | length > 0 and found[0][0] == 'passed') }}
{%- endmacro %}

{% macro uncounted_chains() -%}
    {%- set chains, chain_changes = ref('int_chains'), ref('int_chain_changes') -%}
    {%- if is_counted_before() -%}
    {{ chain_changes }}
    {%- else -%}
    (
        select
            contact_id is not null as led_to_contact,
            brand_id,
            channels,
            1 as change
        from {{ chains }}
    )
    {%- endif -%}
{%- endmacro %}

{% macro former_counts(relation, keys) -%}
    {%- if is_counted_before() -%}
    (select {{ keys | join(', ') }}, contact_count, other_count from {{ relation }})
    {%- else -%}
    (
        select {% for key in keys %}null as {{ key }}, {% endfor %}0 as contact_count, 0 as other_count
        where false
    )
    {%- endif -%}
{%- endmacro %}
