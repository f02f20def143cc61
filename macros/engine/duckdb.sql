{# How DuckDB says what dispatch.sql describes. Plain Jinja, as the loader judges deliveries with these macros too. #}

{# Text #}

{% macro duckdb__matches(text, pattern) -%}
    regexp_full_match({{ text }}, '{{ pattern | replace("'", "''") }}')
{%- endmacro %}

{% macro duckdb__has_match(text, pattern) -%}
    regexp_matches({{ text }}, '{{ pattern | replace("'", "''") }}')
{%- endmacro %}

{% macro duckdb__match_in(text, pattern) -%}
    regexp_extract({{ text }}, '{{ pattern | replace("'", "''") }}')
{%- endmacro %}

{% macro duckdb__replaced(text, pattern, by) -%}
    regexp_replace({{ text }}, '{{ pattern | replace("'", "''") }}', '{{ by }}', 'g')
{%- endmacro %}

{% macro duckdb__lower_case(text) -%}
    lower({{ text }})
{%- endmacro %}

{% macro duckdb__last_character(text) -%}
    ({{ text }})[-1]
{%- endmacro %}

{% macro duckdb__trimmed(text, characters) -%}
    trim({{ text }}, {{ characters }})
{%- endmacro %}

{% macro duckdb__one_form(text) -%}
    nfc_normalize({{ text }})
{%- endmacro %}

{% macro duckdb__has_words(text, words) -%}
    regexp_matches({{ text }}, '(^|[^\p{L}\p{N}])' || regexp_escape({{ words }}) || '($|[^\p{L}\p{N}])')
{%- endmacro %}

{% macro duckdb__json_of_texts(texts) -%}
    cast(to_json({{ texts }}) as varchar)
{%- endmacro %}

{% macro duckdb__texts_of_json(text) -%}
    case
        when json_valid({{ text }}) and json_type({{ text }}) = 'ARRAY'
            and len(list_filter(json_type({{ text }}, '$[*]'), lambda type: type <> 'VARCHAR')) = 0
            then try_cast(cast({{ text }} as json) as varchar[])
    end
{%- endmacro %}

{# Lists #}

{% macro duckdb__list_of(values) -%}
    [{{ values | join(', ') }}]
{%- endmacro %}

{% macro duckdb__split(text, separator) -%}
    string_split({{ text }}, '{{ separator }}')
{%- endmacro %}

{% macro duckdb__all_values(value, condition='true') -%}
    coalesce(list({{ value }}) filter (where {{ condition }}), [])
{%- endmacro %}

{% macro duckdb__sorted_list(value) -%}
    list_sort(list(distinct {{ value }}) filter (where {{ value }} is not null))
{%- endmacro %}

{% macro duckdb__list_in_order(value, order, condition=none) -%}
    list({{ value }} order by {{ order }}){% if condition %} filter (where {{ condition }}){% endif %}
{%- endmacro %}

{% macro duckdb__joined_in_order(value, separator, order) -%}
    string_agg({{ value }}, '{{ separator }}' order by {{ order }})
{%- endmacro %}

{% macro duckdb__sorted_and_distinct(values) -%}
    list_sort(list_distinct({{ values }}))
{%- endmacro %}

{% macro duckdb__in_ascending_order(values) -%}
    list_sort({{ values }})
{%- endmacro %}

{% macro duckdb__smallest_of(values) -%}
    list_min({{ values }})
{%- endmacro %}

{% macro duckdb__length_of(values) -%}
    len({{ values }})
{%- endmacro %}

{% macro duckdb__has_element(values, value) -%}
    list_contains({{ values }}, {{ value }})
{%- endmacro %}

{% macro duckdb__has_elements(values, others) -%}
    list_has_all({{ values }}, {{ others }})
{%- endmacro %}

{% macro duckdb__elements_where(values, condition) -%}
    list_filter({{ values }}, lambda element: {{ condition }})
{%- endmacro %}

{% macro duckdb__each_element(values, expression) -%}
    list_transform({{ values }}, lambda element: {{ expression }})
{%- endmacro %}

{% macro duckdb__each_pair(first_values, second_values, expression) -%}
    list_transform(
        list_zip({{ first_values }}, {{ second_values }}),
        lambda pair: {{ expression | replace('FIRST', 'pair[1]') | replace('SECOND', 'pair[2]') }}
    )
{%- endmacro %}

{% macro duckdb__sum_of(values) -%}
    cast(coalesce(list_sum({{ values }}), 0) as bigint)
{%- endmacro %}

{% macro duckdb__one_after_another(first_list, second_list) -%}
    list_concat({{ first_list }}, {{ second_list }})
{%- endmacro %}

{% macro duckdb__joined(values, separator) -%}
    array_to_string({{ values }}, {{ separator }})
{%- endmacro %}

{% macro duckdb__numbers_between(first, last) -%}
    range({{ first }}, {{ last }} + 1)
{%- endmacro %}

{% macro duckdb__days_from(first_day, last_day) -%}
    cast(range({{ first_day }}, {{ last_day }} + 1, interval 1 day) as date[])
{%- endmacro %}

{% macro duckdb__rows_of(lists) -%}
    {%- for name, values in lists.items() -%}
    unnest({{ values }}) as {{ name }}{{ ',\n    ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}

{% macro duckdb__struct_of(fields) -%}
    { {%- for name, value in fields.items() %}'{{ name }}': {{ value }}{{ ', ' if not loop.last }}{% endfor -%} }
{%- endmacro %}

{% macro duckdb__all_but(columns, relation=none) -%}
    {{ relation ~ '.' if relation }}* exclude ({{ columns | join(', ') }})
{%- endmacro %}

{# Instants, days and numbers #}

{% macro duckdb__instant_with_offset(text) -%}
    try_cast({{ text }} as timestamptz)
{%- endmacro %}

{# A local time minus the offset in force a day before is right for the first of two instants of the same local time, and only for it. #}
{% macro duckdb__local_instant_in(local_time, time_zone) -%}
    {%- set later = "timezone('" ~ time_zone ~ "', " ~ local_time ~ ")" -%}
    {%- set day_before = "(" ~ later ~ " - interval 24 hours)" -%}
    {%- set earlier -%}
        timezone('UTC', {{ local_time }}) - (timezone('UTC', timezone('{{ time_zone }}', {{ day_before }})) - {{ day_before }})
    {%- endset -%}
    case
        when timezone('{{ time_zone }}', {{ earlier }}) = {{ local_time }} then {{ earlier }}
        else {{ later }}
    end
{%- endmacro %}

{% macro duckdb__local_day(instant, time_zone) -%}
    cast(timezone('{{ time_zone }}', {{ instant }}) as date)
{%- endmacro %}

{% macro duckdb__no_instant() -%}
    cast(null as timestamptz)
{%- endmacro %}

{% macro duckdb__microseconds(instant) -%}
    epoch_us({{ instant }})
{%- endmacro %}

{% macro duckdb__moved(instant, microseconds) -%}
    {{ instant }} + to_microseconds(cast({{ microseconds }} as bigint))
{%- endmacro %}

{% macro duckdb__bigint_of(number) -%}
    {{ number }}
{%- endmacro %}

{% macro duckdb__whole(number) -%}
    cast({{ number }} as hugeint)
{%- endmacro %}

{% macro duckdb__whole_division(number, divisor) -%}
    {{ number }} // {{ divisor }}
{%- endmacro %}

{% macro duckdb__whole_sum(number) -%}
    try_cast(sum({{ number }}) as bigint)
{%- endmacro %}

{% macro duckdb__as_share(parts, digits=18) -%}
    cast(cast({{ parts }} as decimal(26, 0)) * 0.000000000001 as decimal({{ digits }}, 12))
{%- endmacro %}

{% macro duckdb__credited_value(value, credit) -%}
    cast(cast({{ value }} as decimal(20, 2)) * {{ credit }} as decimal(36, 14))
{%- endmacro %}

{# Keys #}

{% macro duckdb__key_of(text) -%}
    md5_number({{ text }})
{%- endmacro %}

{# The exclusive or of the keys. #}
{% macro duckdb__key_of_keys(keys) -%}
    case
        when len({{ keys }}) > 0 then list_reduce({{ keys }}, lambda first, second: xor(first, second))
    end
{%- endmacro %}

{% macro duckdb__hash_prefix(key) -%}
    cast({{ key }} & 1099511627775 as ubigint)
{%- endmacro %}

{% macro duckdb__hash_bucket(key) -%}
    cast({{ key }} & 4294967295 as uinteger)
{%- endmacro %}

{# Far faster than a cast, which writes decimals. #}
{% macro duckdb__key_text(key) -%}
    hex({{ key }})
{%- endmacro %}

{% macro duckdb__null_key() -%}
    cast(null as uhugeint)
{%- endmacro %}

{% macro duckdb__checksum(value) -%}
    cast(hash({{ value }}) % 2147483647 as bigint)
{%- endmacro %}

{% macro duckdb__number_of_row(order) -%}
    row_number() over (order by {{ order }}) - 1
{%- endmacro %}

{% macro duckdb__type_of(data_type) -%}
    {{ data_type }}
{%- endmacro %}

{# Storage #}

{% macro duckdb__row_id() -%}
    rowid
{%- endmacro %}

{% macro duckdb__being_changed(table) -%}
    {{ table }}
{%- endmacro %}

{% macro duckdb__text_bucket(text) -%}
    hash({{ text }})
{%- endmacro %}

{% macro duckdb__is_in_part(bucket) -%}
    {%- if is_in_parts() -%}{{ bucket }} % {{ parts_of_build() | length }} = getvariable('part'){%- else -%}true{%- endif -%}
{%- endmacro %}

{% macro duckdb__is_loaded_in_part(load_id) -%}
    {%- if is_in_parts() -%}
    {{ load_id }} >= getvariable('first_load_of_part') and {{ load_id }} < getvariable('first_load_after_part')
    {%- else -%}true{%- endif -%}
{%- endmacro %}
