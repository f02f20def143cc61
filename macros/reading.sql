{#
How delivered text becomes a value; null where it can't be read. The loader checks deliveries (R25) with the same macros with which
models read them, so this file holds plain Jinja: `var`, arguments, and the macros of engine/dispatch.sql.
#}

{# A text with Unicode white space trimmed; null if nothing is left. Trimming by a set of characters is slow, so only texts that may
need it are trimmed: white space at the beginning sorts before '!' or into one of two ranges with which few texts begin. #}
{% macro clean_text(column) -%}
    {%- set white_space = "'\t\n\u000b\u000c\r \u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000'" -%}
    case
        when {{ column }} < '!'
            or {{ column }} between {{ "'\u007f' and '\u00a1'" }} or {{ column }} between {{ "'\u1680' and '\u3001'" }}
            or contains({{ white_space }}, {{ last_character(column) }})
            then nullif({{ trimmed(column, white_space) }}, '')
        else {{ column }}
    end
{%- endmacro %}

{#
R15: an identifier as it is looked up among placeholders; null if it has no value by its form. Matching forms is slow, so nearly
every id is recognized by less: it begins with a digit from 1 to 9, or begins with a letter and has no point, or has five such digits.
`placeholders` is a list.
#}
{% macro placeholder_form(identifier, placeholders) -%}
    {%- set quotes = "[\\s\"'`´«»“”„‟‘’‚‹›]*" -%}
    {#- Without quotes around it, without the prefix of a Google cookie, and without decimals that are zeros. -#}
    {%- set bare = replaced(lower_case(identifier), "(?s)^" ~ quotes ~ "(?:ga\\d+\\.[\\d-]+\\.)?(.*?)(?:[.,]0+)?" ~ quotes ~ "\\z", "\\1") -%}
    {#- Its letters and digits as ASCII: classes of all letters there are make a pattern ten times as slow to prepare. -#}
    {%- set shape = replaced(replaced(bare, "[^\\P{L}a-z]", "a"), "[^\\P{N}0-9]", "1") -%}
    {#- The name of a variable: a letter, and no digits but up to three in a row. -#}
    {%- set name = "[^0-9]*[a-z][^0-9]*[0-9]{0,3}[^0-9]*" -%}
    {%- set no_value = [
        "[^a-z1-9]*",
        "#[a-z]+/[a-z]+",
        "[$#@%]?[{<(\\[]+" ~ name ~ "[)\\]}>]+s?",
        "\\{+[0-9]\\}+",
        "&lt;" ~ name ~ "&gt;",
        "(?:%[57]b)+" ~ name ~ "(?:%[57]d)+",
        "[%@#$~|*!?^:+]+" ~ name ~ "[%@#$~|*!?^:+]+",
        "__+" ~ name ~ "__+",
        "[$%:]{1,2}[a-z_.]+",
    ] -%}
    case
        when {{ identifier }} >= '1' and {{ identifier }} < ':' then {{ lower_case(identifier) }}
        when (
            {{ identifier }} >= 'A' and {{ identifier }} < '['
            or {{ identifier }} >= 'a' and {{ identifier }} < '{'
            or {{ identifier }} >= 'Ѐ' and {{ identifier }} < '԰'
        ) and not contains({{ identifier }}, '.') then {{ lower_case(identifier) }}
        when {{ has_match(identifier, '(?:[1-9][^1-9]*){5}') }} then {{ lower_case(identifier) }}
        when {{ matches(shape, '(?s)' ~ no_value | join('|')) }} then null
        when {{ has_elements(placeholders, split(bare, '.')) }} then null
        else {{ bare }}
    end
{%- endmacro %}

{# R13: a Google client id without the prefix of its cookie, that is, its version and depth: GA1.2.1234567890.1600000000. #}
{% macro google_client_id(identifier) -%}
    case
        when {{ identifier }} like 'GA1._._%' then substr({{ identifier }}, 7)
        when {{ identifier }} like 'GA%' then {{ replaced(identifier, "(?s)^GA\\d+\\.[\\d-]+\\.(.+)\\z", "\\1") }}
        else {{ identifier }}
    end
{%- endmacro %}

{# R10: an ISO 8601 date and time as an instant; without an offset it is a local time of `report_timezone`. #}
{% macro instant(column) -%}
    {%- set date_and_time = "\\d{4}-\\d{2}-\\d{2}[T ]([01]\\d|2[0-3]):[0-5]\\d(:[0-5]\\d(\\.\\d+)?)?" -%}
    case
        when {{ matches(column, date_and_time ~ "(Z|[+-](0\\d|1[0-5])(:?[0-5]\\d)?)") }}
            then {{ instant_with_offset(column) }}
        when {{ matches(column, date_and_time) }}
            then {{ local_instant("try_cast(" ~ column ~ " as timestamp)") }}
    end
{%- endmacro %}

{# R10: a local time of `report_timezone` as an instant. #}
{% macro local_instant(local_time) -%}
    {{ local_instant_in(local_time, var('report_timezone')) }}
{%- endmacro %}

{# An ISO 8601 date without a time. #}
{% macro date(column) -%}
    case when {{ matches(column, "\\d{4}-\\d{2}-\\d{2}") }} then try_cast({{ column }} as date) end
{%- endmacro %}

{# A count: not negative; its decimals, if any, are zeros. #}
{% macro whole_number(column) -%}
    case
        when {{ matches(column, "\\d+(\\.0+)?") }} then try_cast(split_part({{ column }}, '.', 1) as bigint)
    end
{%- endmacro %}

{% macro seconds(column) -%}
    {{ whole_number(column) }}
{%- endmacro %}

{% macro boolean(column) -%}
    case
        when {{ lower_case(column) }} in ('true', 't', '1', 'yes', 'y', 'да') then true
        when {{ lower_case(column) }} in ('false', 'f', '0', 'no', 'n', 'нет') then false
    end
{%- endmacro %}

{# An amount in `report_currency`. #}
{% macro money(column) -%}
    case when {{ matches(column, "[+-]?\\d+(\\.\\d+)?") }} then try_cast({{ column }} as decimal(18, 2)) end
{%- endmacro %}

{# The three letters of a currency, in any letter case. #}
{% macro currency(column) -%}
    case when {{ matches(column, "[A-Za-z]{3}") }} then upper({{ column }}) end
{%- endmacro %}

{# A JSON list of text. #}
{% macro text_list(column) -%}
    {{ texts_of_json(column) }}
{%- endmacro %}

{% macro text(column) -%}
    {{ column }}
{%- endmacro %}

{# A word of a fixed list, in any letter case. #}
{% macro word(column) -%}
    {{ lower_case(column) }}
{%- endmacro %}

{# R10: the report date of an instant. #}
{% macro report_date(instant) -%}
    {{ local_day(instant, var('report_timezone')) }}
{%- endmacro %}

{# R10: the first instant of a report date. #}
{% macro day_start(day) -%}
    {{ local_instant("cast(" ~ day ~ " as timestamp)") }}
{%- endmacro %}
