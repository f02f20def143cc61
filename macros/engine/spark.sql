{#
How Spark says what dispatch.sql describes. Patterns are Java's: (?ud) makes letter case Unicode's and a line feed the only end of a line,
as RE2 has them. The session's time zone is UTC. Keys are md5 in hexadecimal digits, as no number of Spark has 128 bits.
#}

{# Text #}

{% macro spark_pattern(pattern) -%}
    '{{ pattern | replace("\\", "\\\\") | replace("'", "\\'") }}'
{%- endmacro %}

{% macro spark__matches(text, pattern) -%}
    {{ text }} rlike {{ spark_pattern('(?ud)^(?:' ~ pattern ~ ')\\z') }}
{%- endmacro %}

{% macro spark__has_match(text, pattern) -%}
    {{ text }} rlike {{ spark_pattern('(?ud)' ~ pattern) }}
{%- endmacro %}

{% macro spark__match_in(text, pattern) -%}
    regexp_extract({{ text }}, {{ spark_pattern('(?ud)' ~ pattern) }}, 0)
{%- endmacro %}

{% macro spark__replaced(text, pattern, by) -%}
    regexp_replace({{ text }}, {{ spark_pattern('(?ud)' ~ pattern) }}, '{{ by | replace("\\", "$") }}')
{%- endmacro %}

{# Java's lower case of these two depends on what stands beside them, or is two characters. #}
{% macro spark__lower_case(text) -%}
    lower(translate({{ text }}, 'Σİ', 'σi'))
{%- endmacro %}

{% macro spark__last_character(text) -%}
    right({{ text }}, 1)
{%- endmacro %}

{% macro spark__trimmed(text, characters) -%}
    trim(both {{ characters }} from {{ text }})
{%- endmacro %}

{# A function of the session (pipeline/spark): Spark has none. #}
{% macro spark__one_form(text) -%}
    nfc({{ text }})
{%- endmacro %}

{% macro spark__has_words(text, words) -%}
    {{ text }} rlike concat(
        '(^|[^\\p{L}\\p{N}])', regexp_replace({{ words }}, '([^\\p{L}\\p{N}\\s])', '\\\\$1'), '(\\z|[^\\p{L}\\p{N}])'
    )
{%- endmacro %}

{% macro spark__json_of_texts(texts) -%}
    to_json({{ texts }})
{%- endmacro %}

{% macro spark__texts_of_json(text) -%}
    case
        when {{ text }} rlike {{ spark_pattern('(?s)^[ \\t\\r\\n]*\\[[ \\t\\r\\n]*("([^"\\\\]|\\\\.)*"([ \\t\\r\\n]*,[ \\t\\r\\n]*"([^"\\\\]|\\\\.)*")*)?[ \\t\\r\\n]*\\][ \\t\\r\\n]*\\z') }}
            then from_json({{ text }}, 'array<string>')
    end
{%- endmacro %}

{# Lists #}

{% macro spark__list_of(values) -%}
    array({{ values | join(', ') }})
{%- endmacro %}

{% macro spark__split(text, separator) -%}
    split({{ text }}, '[{{ separator }}]')
{%- endmacro %}

{% macro spark__all_values(value, condition='true') -%}
    collect_list({{ value }}) filter (where {{ condition }})
{%- endmacro %}

{% macro spark__sorted_list(value) -%}
    case when count({{ value }}) > 0 then array_sort(collect_set({{ value }})) end
{%- endmacro %}

{% macro spark__list_in_order(value, order, condition=none) -%}
    {%- set listed -%}
    collect_list(struct({{ order }} as place, {{ value }} as value)){% if condition %} filter (where {{ condition }}){% endif %}
    {%- endset -%}
    case when size({{ listed }}) > 0 then transform(array_sort({{ listed }}), entry -> entry.value) end
{%- endmacro %}

{% macro spark__joined_in_order(value, separator, order) -%}
    array_join(transform(array_sort(collect_list(struct({{ order }} as place, {{ value }} as value))), entry -> entry.value), '{{ separator }}')
{%- endmacro %}

{% macro spark__sorted_and_distinct(values) -%}
    array_sort(array_distinct({{ values }}))
{%- endmacro %}

{% macro spark__in_ascending_order(values) -%}
    array_sort({{ values }})
{%- endmacro %}

{% macro spark__smallest_of(values) -%}
    array_min({{ values }})
{%- endmacro %}

{% macro spark__length_of(values) -%}
    array_size({{ values }})
{%- endmacro %}

{% macro spark__has_element(values, value) -%}
    array_contains({{ values }}, {{ value }})
{%- endmacro %}

{% macro spark__has_elements(values, others) -%}
    size(array_except({{ others }}, {{ values }})) = 0
{%- endmacro %}

{% macro spark__elements_where(values, condition) -%}
    filter({{ values }}, element -> {{ condition }})
{%- endmacro %}

{% macro spark__each_element(values, expression) -%}
    transform({{ values }}, element -> {{ expression }})
{%- endmacro %}

{% macro spark__each_pair(first_values, second_values, expression) -%}
    zip_with(
        {{ first_values }}, {{ second_values }},
        (first_value, second_value) -> {{ expression | replace('FIRST', 'first_value') | replace('SECOND', 'second_value') }}
    )
{%- endmacro %}

{% macro spark__sum_of(values) -%}
    coalesce(aggregate({{ values }}, cast(0 as bigint), (total, element) -> total + element), 0)
{%- endmacro %}

{% macro spark__one_after_another(first_list, second_list) -%}
    concat({{ first_list }}, {{ second_list }})
{%- endmacro %}

{% macro spark__joined(values, separator) -%}
    array_join({{ values }}, {{ separator }})
{%- endmacro %}

{# A sequence goes down where its end is smaller. #}
{% macro spark__numbers_between(first, last) -%}
    case when {{ first }} <= {{ last }} then sequence(cast({{ first }} as bigint), cast({{ last }} as bigint)) end
{%- endmacro %}

{% macro spark__days_from(first_day, last_day) -%}
    case when {{ first_day }} <= {{ last_day }} then sequence({{ first_day }}, {{ last_day }}, interval 1 day) end
{%- endmacro %}

{% macro spark__rows_of(lists) -%}
    {%- if lists | length == 1 -%}
    explode({{ (lists.values() | list)[0] }}) as {{ (lists | list)[0] }}
    {%- else -%}
    inline(arrays_zip({{ lists.values() | join(', ') }})) as ({{ lists | join(', ') }})
    {%- endif -%}
{%- endmacro %}

{% macro spark__struct_of(fields) -%}
    named_struct({% for name, value in fields.items() %}'{{ name }}', {{ value }}{{ ', ' if not loop.last }}{% endfor %})
{%- endmacro %}

{% macro spark__all_but(columns, relation=none) -%}
    {{ relation ~ '.' if relation }}* except ({{ columns | join(', ') }})
{%- endmacro %}

{# Instants, days and numbers #}

{# An offset needs seconds before it, and minutes in it. #}
{% macro spark__instant_with_offset(text) -%}
    {%- set with_seconds = replaced(text, "([T ]\\d{2}:\\d{2})([Z+-])", "\\1:00\\2") -%}
    {%- set with_colon = replaced(with_seconds, "([+-]\\d{2})(\\d{2})\\z", "\\1:\\2") -%}
    try_cast({{ replaced(with_colon, "([T ][0-9:.]+[+-]\\d{2})\\z", "\\1:00") }} as timestamp)
{%- endmacro %}

{% macro spark__local_instant_in(local_time, time_zone) -%}
    to_utc_timestamp({{ local_time }}, '{{ time_zone }}')
{%- endmacro %}

{% macro spark__local_day(instant, time_zone) -%}
    cast(from_utc_timestamp({{ instant }}, '{{ time_zone }}') as date)
{%- endmacro %}

{% macro spark__no_instant() -%}
    cast(null as timestamp)
{%- endmacro %}

{% macro spark__microseconds(instant) -%}
    unix_micros({{ instant }})
{%- endmacro %}

{% macro spark__moved(instant, microseconds) -%}
    timestamp_micros(unix_micros({{ instant }}) + cast({{ microseconds }} as bigint))
{%- endmacro %}

{% macro spark__bigint_of(number) -%}
    {{ number }}L
{%- endmacro %}

{% macro spark__whole(number) -%}
    cast({{ number }} as decimal(38, 0))
{%- endmacro %}

{% macro spark__whole_division(number, divisor) -%}
    {{ number }} div {{ divisor }}
{%- endmacro %}

{% macro spark__whole_sum(number) -%}
    try_sum({{ number }})
{%- endmacro %}

{# Wider decimals lose a digit. #}
{% macro spark__as_share(parts, digits=18) -%}
    cast(cast({{ parts }} as decimal(25, 0)) * 0.000000000001 as decimal({{ digits }}, 12))
{%- endmacro %}

{% macro spark__credited_value(value, credit) -%}
    cast(cast({{ value }} as decimal(19, 2)) * {{ credit }} as decimal(36, 14))
{%- endmacro %}

{# Keys #}

{% macro spark__key_of(text) -%}
    md5({{ text }})
{%- endmacro %}

{% macro spark__key_of_keys(keys) -%}
    case
        when size({{ keys }}) = 1 then element_at({{ keys }}, 1)
        when size({{ keys }}) > 1 then md5(array_join(array_sort({{ keys }}), ''))
    end
{%- endmacro %}

{% macro spark__hash_prefix(key) -%}
    substr({{ key }}, 1, 10)
{%- endmacro %}

{% macro spark__hash_bucket(key) -%}
    substr({{ key }}, 1, 8)
{%- endmacro %}

{% macro spark__key_text(key) -%}
    {{ key }}
{%- endmacro %}

{% macro spark__null_key() -%}
    cast(null as string)
{%- endmacro %}

{% macro spark__checksum(value) -%}
    pmod(xxhash64({{ value }}), 2147483647)
{%- endmacro %}

{% macro spark__number_of_row(order) -%}
    monotonically_increasing_id()
{%- endmacro %}

{% macro spark__type_of(data_type) -%}
    {%- if data_type.endswith('[]') -%}
    array<{{ spark__type_of(data_type[:-2]) }}>
    {%- else -%}
    {{ {
        'varchar': 'string', 'json': 'string', 'uhugeint': 'string', 'ubigint': 'string', 'uinteger': 'string',
        'timestamptz': 'timestamp', 'hugeint': 'decimal(38,0)',
    }.get(data_type, data_type) }}
    {%- endif -%}
{%- endmacro %}

{# Storage #}

{% macro spark__row_id() -%}
    record_number
{%- endmacro %}

{# A branch of the table, which readers don't see (`spark_builds.sql`). #}
{% macro spark__being_changed(table) -%}
    {{ table }}{{ '.branch_changes' if is_incremental() and not table.is_cte }}
{%- endmacro %}

{% macro spark__text_bucket(text) -%}
    xxhash64({{ text }})
{%- endmacro %}

{% macro spark__is_in_part(bucket) -%}
    true
{%- endmacro %}

{% macro spark__is_loaded_in_part(load_id) -%}
    true
{%- endmacro %}
