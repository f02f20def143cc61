{#
R15: an identifier in the form in which it is compared (R13), or null if it identifies nobody. `placeholders` and
`ignored_identifiers` are the seed and the model of these names. A valid phone or address is no placeholder by its form.
#}
{% macro identifying(identifier_kind, identifier, placeholders, ignored_identifiers) -%}
    {%- set compared = google_client_id(identifier) if identifier_kind == 'google_client_id' else identifier -%}
    {%- set listed = '(select list(lower(placeholder)) from ' ~ placeholders ~ ')' -%}
    {%- set looked_up = 'lower(' ~ identifier ~ ')' if identifier_kind in ('phone', 'email') else placeholder_form(identifier, listed) -%}
    case
        when {{ looked_up }} not in (select lower(placeholder) from {{ placeholders }})
            and {{ compared }} not in (
                select identifier from {{ ignored_identifiers }} where identifier_kind = '{{ identifier_kind }}'
            )
            then {{ compared }}
    end
{%- endmacro %}

{# R13: one row per record and identifier that it carries. #}
{% macro identifiers_of(records, identifier_kinds) -%}
    {%- for identifier_kind in identifier_kinds %}
    select
        record_number,
        cluster_key,
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
        cluster_key,
        '{{ identifier_kind }}' as identifier_kind,
        {{ column }} as identifier,
        sum(record_count) as record_count
    from {{ records }}
    where {{ column }} is not null
    group by cluster_key, {{ column }}
    {% if not loop.last %}union all{% endif %}
    {%- endfor -%}
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
{% macro hash_prefix(key) -%}
    cast({{ key }} & 1099511627775 as ubigint)
{%- endmacro %}

{# 32 bits of a key: enough where those that have them in common may be taken together. #}
{% macro hash_bucket(key) -%}
    cast({{ key }} & 4294967295 as uinteger)
{%- endmacro %}

{# Far faster than a cast, which writes it in decimals. #}
{% macro key_text(key) -%}
    hex({{ key }})
{%- endmacro %}

{# No key of an identifier, group, identity or record: null, of their type. #}
{% macro null_key() -%}
    cast(null as uhugeint)
{%- endmacro %}
