{#
A checksum that can be summed. The sum over many rows doesn't depend on their order, and differs if one row does. So counts by row
and counts by group can be compared without grouping again.
#}
{% macro checksum(value) -%}
    cast(hash({{ value }}) % 2147483647 as bigint)
{%- endmacro %}

{% macro sum_of_checksums(values) -%}
    cast(coalesce(list_sum(list_transform({{ values }}, lambda value: {{ checksum('value') }})), 0) as bigint)
{%- endmacro %}

{# Text that identifies a brand's step from one channel to the next; `set_key` identifies a brand's set of channels. #}
{% macro step_key(brand_id, from_channel, to_channel) -%}
    ({{ brand_id }} || chr(1) || coalesce({{ from_channel }}, chr(2)) || chr(1) || coalesce({{ to_channel }}, chr(2)))
{%- endmacro %}

{% macro set_key(brand_id, channels) -%}
    ({{ brand_id }} || chr(1) || array_to_string({{ channels }}, chr(1)))
{%- endmacro %}

{# All steps of a chain: from its start, from each channel to the next, to its end. #}
{% macro step_keys(brand_id, channels) -%}
    list_transform(
        list_zip({{ one_after_another(list_of_one('null'), channels) }}, {{ one_after_another(channels, list_of_one('null')) }}),
        lambda step: {{ step_key(brand_id, 'step[1]', 'step[2]') }}
    )
{%- endmacro %}

{# The end of a test that compares what it has `counted` with its `chains`. #}
{% macro counts_that_differ() -%}
select counted.*
from counted
cross join chains
where coalesce(counted.contact_count, 0) <> chains.contact_count
    or coalesce(counted.other_count, 0) <> chains.other_count
    or coalesce(counted.contacts_checksum, 0) <> chains.contacts_checksum
    or coalesce(counted.others_checksum, 0) <> chains.others_checksum
{%- endmacro %}
