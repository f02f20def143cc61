{# The business words of the models, a line or two each, and the engine-specific SQL behind them. #}

{# Rows as one ordered list. #}
{% macro list_in_order(value, order, condition=none) -%}
    list({{ value }} order by {{ order }}){% if condition %} filter (where {{ condition }}){% endif %}
{%- endmacro %}

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

{# R2: touches count that are strictly before this instant. #}
{% macro counting_ends_at(contacted_at) -%}
    {{ contacted_at }} + to_seconds({{ var('contact_grace_seconds') }})
{%- endmacro %}

{# R7, R8: touches count from this instant on; null: from the first. #}
{% macro counting_starts_at(contacted_at, previous_contact_at) -%}
    {%- set bounds = [] -%}
    {%- if var('lookback_days') is not none -%}
        {%- do bounds.append(contacted_at ~ " - to_microseconds(cast(" ~ var('lookback_days') ~ " * 86400000000 as bigint))") -%}
    {%- endif -%}
    {%- if var('history_scope') == 'since_previous_contact' -%}
        {%- do bounds.append(previous_contact_at) -%}
    {%- endif -%}
    greatest({{ (bounds or ['cast(null as timestamptz)']) | join(', ') }})
{%- endmacro %}

{# A row for each whole number from first to last, both included. #}
{% macro each_number(first, last) -%}
    unnest(range({{ first }}, {{ last }} + 1))
{%- endmacro %}

{# R13: one row per record and identifier that it carries. #}
{% macro identifiers_of(records, identifier_kinds) -%}
    {%- for identifier_kind in identifier_kinds %}
    select
        record_number,
        identifier_group,
        '{{ identifier_kind }}' as identifier_kind,
        {{ identifier_kind }} as identifier
    from {{ records }}
    where {{ identifier_kind }} is not null
    {% if not loop.last %}union all{% endif %}
    {%- endfor -%}
{%- endmacro %}

{# R13: one row per group of identifiers, kind and identifier: how many records carry it. #}
{% macro counts_of_identifiers(records, columns) -%}
    {%- for identifier_kind, column in columns.items() %}
    select
        identifier_group,
        '{{ identifier_kind }}' as identifier_kind,
        {{ column }} as identifier,
        sum(record_count) as record_count
    from {{ records }}
    where {{ column }} is not null
    group by identifier_group, {{ column }}
    {% if not loop.last %}union all{% endif %}
    {%- endfor -%}
{%- endmacro %}

{# Distinct values as a sorted list, null when there are none. #}
{% macro sorted_list(value) -%}
    list_sort(list(distinct {{ value }}) filter (where {{ value }} is not null))
{%- endmacro %}

{% macro sorted_and_distinct(values) -%}
    list_sort(list_distinct({{ values }}))
{%- endmacro %}

{# Days, and parts of days, between two instants. #}
{% macro days_between(instant, later_instant) -%}
    (epoch_us({{ later_instant }}) - epoch_us({{ instant }})) / 86400000000
{%- endmacro %}

{# The median of the time between two instants, in whole seconds. #}
{% macro median_seconds(instant, later_instant) -%}
    cast(round(median(epoch_us({{ later_instant }}) - epoch_us({{ instant }})) / 1000000) as bigint)
{%- endmacro %}

{% macro count_where(condition) -%}
    cast(sum(case when {{ condition }} then 1 else 0 end) as bigint)
{%- endmacro %}

{# How much there is for one of another; null without the other. #}
{% macro ratio(amount, count) -%}
    cast({{ amount }} as double) / nullif(cast({{ count }} as double), 0)
{%- endmacro %}

{# The channel of contacts for which no touch counts. #}
{% macro unattributed() -%}
    (unattributed)
{%- endmacro %}

{# A list, null when it has no elements. #}
{% macro without_empty(values) -%}
    nullif({{ values }}, [])
{%- endmacro %}

{# Texts joined in order. #}
{% macro joined_in_order(value, separator, order) -%}
    string_agg({{ value }}, '{{ separator }}' order by {{ order }})
{%- endmacro %}

{% macro joined(values, separator) -%}
    array_to_string({{ values }}, '{{ separator }}')
{%- endmacro %}

{# R23: a chain that histories have cut says so. #}
{% macro chain(channels, is_cut) -%}
    case when {{ is_cut }} then '… > ' || {{ channels }} else {{ channels }} end
{%- endmacro %}

{# R19: what is shown where nothing is known. #}
{% macro client_name(name) -%}
    coalesce({{ name }}, 'неизвестно')
{%- endmacro %}

{% macro client_location(location) -%}
    coalesce({{ location }}, '(undefined)')
{%- endmacro %}

{# R15: an identifier as it is compared (R13), or null where it ties nothing. What is valid as a phone or an address stands for some. #}
{% macro tying(identifier_kind, identifier) -%}
    {%- set compared = google_client_id(identifier) if identifier_kind == 'google_client_id' else identifier -%}
    {%- set placeholders = '(select list(lower(placeholder)) from ' ~ ref('placeholders') ~ ')' -%}
    {%- set looked_up = 'lower(' ~ identifier ~ ')' if identifier_kind in ('phone', 'email') else placeholder_form(identifier, placeholders) -%}
    case
        when {{ looked_up }} not in (select lower(placeholder) from {{ ref('placeholders') }})
            and {{ compared }} not in (
                select identifier from {{ ref('stg_ignored_identifiers') }} where identifier_kind = '{{ identifier_kind }}'
            )
            then {{ compared }}
    end
{%- endmacro %}

{#
Keys stand for texts where very many are compared: 128 bits, so that no two texts ever share one. An identifier's
key is of its kind and brand too (R13). The key of an identity, that is of all the identifiers that a record carries,
is the exclusive or of theirs, so that of an only identifier is the identifier's own.
#}
{% macro record_key(record_kind, record_id) -%}
    md5_number(concat('{{ record_kind }} ', {{ record_id }}))
{%- endmacro %}

{% macro identifier_key(identifier_kind, brand_id, identifier) -%}
    md5_number(concat('{{ identifier_kind }} ', length({{ brand_id }}), ' ', {{ brand_id }}, ' ', {{ identifier }}))
{%- endmacro %}

{% macro identifier_keys(brand_id, identifier_kinds) -%}
    list_filter([
        {%- for identifier_kind in identifier_kinds %}
        case when {{ identifier_kind }} is not null then {{ identifier_key(identifier_kind, brand_id, identifier_kind) }} end
        {{- ',' if not loop.last }}
        {%- endfor %}
    ], lambda identifier_key: identifier_key is not null)
{%- endmacro %}

{% macro identity_key(identifier_keys) -%}
    case
        when len({{ identifier_keys }}) > 0 then list_reduce({{ identifier_keys }}, lambda first, second: xor(first, second))
    end
{%- endmacro %}

{#
40 bits of a key: looked for first where few are sought among very many, as reading keys is most of the work. Among a hundred
million keys, ten or so are found for a hundred thousand that aren't among them; to read their whole keys costs little.
#}
{% macro key_part(key) -%}
    cast({{ key }} & 1099511627775 as ubigint)
{%- endmacro %}

{# 32 bits of a key: enough where those that have them in common may be taken together. #}
{% macro key_class(key) -%}
    cast({{ key }} & 4294967295 as uinteger)
{%- endmacro %}

{# Far faster than a cast, which writes it in decimals. #}
{% macro key_text(key) -%}
    hex({{ key }})
{%- endmacro %}

{% macro if_several(values) -%}
    case when len({{ values }}) > 1 then {{ values }} end
{%- endmacro %}

{% macro each_of(values) -%}
    unnest({{ values }})
{%- endmacro %}

{% macro days_after(day, last_day) -%}
    cast(generate_series({{ day }} + 1, {{ last_day }}, interval 1 day) as date[])
{%- endmacro %}

{% macro list_of_one(value) -%}
    [{{ value }}]
{%- endmacro %}

{% macro one_after_another(first_list, second_list) -%}
    list_concat({{ first_list }}, {{ second_list }})
{%- endmacro %}

{% macro all_but_first(list) -%}
    {{ list }}[2:]
{%- endmacro %}

{% macro length_of(list) -%}
    len({{ list }})
{%- endmacro %}

{# No key of an identifier, group, identity or record: null, of their type. #}
{% macro no_key() -%}
    cast(null as uhugeint)
{%- endmacro %}

{# Rows of one column, written out. #}
{% macro rows_of_text(column, values) -%}
    {%- for value in values %}
    select '{{ value }}' as {{ column }}
    {% if not loop.last %}union all{% endif %}
    {%- endfor -%}
{%- endmacro %}

{# All days from the first to the last, a row each. #}
{% macro each_day(first_day, last_day) -%}
    unnest(cast(range({{ first_day }}, {{ last_day }} + 1, interval 1 day) as date[]))
{%- endmacro %}

{# R28: where the setting lists the source of what is delivered; after all of it, if it doesn't. #}
{% macro source_position(delivered_by) -%}
    {%- set sources = var('source_precedence') | map('replace', "'", "''") | list -%}
    coalesce(
        nullif(list_position(cast([{% for source in sources %}'{{ source }}'{{ ', ' if not loop.last }}{% endfor %}] as varchar[]), split_part({{ delivered_by }}, ':', 1)), 0),
        {{ sources | length + 1 }}
    )
{%- endmacro %}

{% macro microseconds(instant) -%}
    epoch_us({{ instant }})
{%- endmacro %}

{#
R28: of the rows with the same keys, and not more than so many seconds (none: never) before a row's moment, or after it: the
one of the highest precedence, then the nearest, then that of the smallest id. The row itself is among them, so there is one.
#}
{% macro first_before(precedence, id, keys, setting, condition='true') -%}
    {{ first_within(precedence, '-moment', id, keys, setting, 'PERIOD preceding and current row', condition) }}
{%- endmacro %}

{% macro first_after(precedence, id, keys, setting) -%}
    {{ first_within(precedence, 'moment', id, keys, setting, 'current row and PERIOD following', 'true') }}
{%- endmacro %}

{% macro first_within(precedence, nearness, id, keys, setting, frame, condition) -%}
    {%- set first = "{'precedence': " ~ precedence ~ ", 'nearness': " ~ nearness ~ ", 'id': " ~ id ~ "}" -%}
    {%- if var(setting) is none -%}
    case when false then {{ first }} end
    {%- else -%}
    {%- set period = (var(setting) | float * 1000000) | round | int -%}
    min(case when {{ condition }} then {{ first }} end) over (
        partition by {{ keys | join(', ') }}
        order by moment
        range between {{ frame | replace('PERIOD', period) }}
    )
    {%- endif -%}
{%- endmacro %}

{# R28: the first of those, by its distance now, if its precedence is higher than the row's own. #}
{% macro if_higher(first, precedence) -%}
    case
        when {{ first }}.precedence < {{ precedence }}
            then {'precedence': {{ first }}.precedence, 'distance': abs(abs({{ first }}.nearness) - moment), 'id': {{ first }}.id}
    end
{%- endmacro %}
