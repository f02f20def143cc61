{# R11: text in one Unicode form, by which it is compared. #}
{% macro one_form(text) -%}
    nfc_normalize({{ text }})
{%- endmacro %}

{# R11: whole words, bounded by anything but letters and digits of any alphabet. #}
{% macro has_words(text, words) -%}
    regexp_matches({{ text }}, '(^|[^\p{L}\p{N}])' || regexp_escape({{ words }}) || '($|[^\p{L}\p{N}])')
{%- endmacro %}

{# R11: how a touch's channel is displayed, and so what tells channels apart. #}
{% macro channel(channel_name, source, medium, campaign) -%}
    {%- set displayed = {
        'source_medium': source ~ " || ' / ' || " ~ medium,
        'medium': medium,
        'source': source,
        'source_medium_campaign': source ~ " || ' / ' || " ~ medium ~ " || ' / ' || coalesce(" ~ campaign ~ ", '(not set)')",
    } -%}
    coalesce({{ channel_name }}, {{ displayed[var('channel_grain')] }})
{%- endmacro %}

{# R12 #}
{% macro is_direct(source, medium) -%}
    ({{ source }} = '(direct)' and {{ medium }} = '(none)')
{%- endmacro %}

{% macro is_counted(source, medium) -%}
    {% if var('count_direct_touches') %}true{% else %}not {{ is_direct(source, medium) }}{% endif %}
{%- endmacro %}

{# R23: a chain that histories have cut says so. #}
{% macro chain(channels, is_cut) -%}
    case when {{ is_cut }} then '… > ' || {{ channels }} else {{ channels }} end
{%- endmacro %}

{# The channel of contacts for which no touch counts. #}
{% macro unattributed() -%}
    (unattributed)
{%- endmacro %}
