{# Checksums of chains' steps and sets of channels (Attribution), which tests sum up and compare. #}

{# Text that identifies a brand's step from one channel to the next; `set_key` identifies a brand's set of channels. #}
{% macro step_key(brand_id, from_channel, to_channel) -%}
    ({{ brand_id }} || chr(1) || coalesce({{ from_channel }}, chr(2)) || chr(1) || coalesce({{ to_channel }}, chr(2)))
{%- endmacro %}

{% macro set_key(brand_id, channels) -%}
    ({{ brand_id }} || chr(1) || {{ joined(channels, 'chr(1)') }})
{%- endmacro %}

{# All steps of a chain, by where they begin and where they end: from its start, from each channel to the next, to its end. #}
{% macro from_channels(channels) -%}
    {{ one_after_another(list_of(['cast(null as string)']), channels) }}
{%- endmacro %}

{% macro to_channels(channels) -%}
    {{ one_after_another(channels, list_of(['cast(null as string)'])) }}
{%- endmacro %}

{# The sum of the checksums of a chain's steps. #}
{% macro checksum_of_steps(brand_id, channels) -%}
    {{ sum_of(each_pair(from_channels(channels), to_channels(channels), checksum(step_key(brand_id, 'FIRST', 'SECOND')))) }}
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
