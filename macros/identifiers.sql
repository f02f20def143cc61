{#
R15: what ties nothing, as one row of lists: the seed `placeholders`, and by kind the model `stg_ignored_identifiers`. Planning takes
less time for lists than for as many sub-selects as there are identifiers.
#}
{% macro lists_of_ignored(placeholders, ignored_identifiers) -%}
    select
        {%- for identifier_kind in ['visitor_id', 'yandex_client_id', 'google_client_id', 'crm_client_id', 'phone', 'email'] %}
        coalesce(list(identifier) filter (where identifier_kind = '{{ identifier_kind }}'), []) as {{ identifier_kind }},
        {%- endfor %}
        (select coalesce(list(lower(placeholder)), []) from {{ placeholders }}) as placeholder
    from {{ ignored_identifiers }}
{%- endmacro %}

{#
R15: an identifier in the form in which it is compared (R13), or null if it ties nothing. `ignored` has the row of `lists_of_ignored`.
A valid phone or email address is never a placeholder by its form.
#}
{% macro identifying(identifier_kind, identifier, ignored) -%}
    {%- set compared = google_client_id(identifier) if identifier_kind == 'google_client_id' else identifier -%}
    {%- set looked_up = 'lower(' ~ identifier ~ ')' if identifier_kind in ('phone', 'email') else placeholder_form(identifier, ignored ~ '.placeholder') -%}
    case
        when not list_contains({{ ignored }}.placeholder, {{ looked_up }})
            and not list_contains({{ ignored }}.{{ identifier_kind }}, {{ compared }})
            then {{ compared }}
    end
{%- endmacro %}

{# R13: one row per record and identifier that it carries. #}
{% macro identifiers_of(records, columns) -%}
    {%- for identifier_kind, column in columns.items() %}
    select
        record_number,
        cluster_key,
        '{{ identifier_kind }}' as identifier_kind,
        {{ column }} as identifier
    from {{ records }}
    where {{ column }} is not null
    {% if not loop.last %}union all{% endif %}
    {%- endfor -%}
{%- endmacro %}

{# R13: one row per cluster, kind and identifier, with how many records carry it. #}
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
Keys stand for texts where very many are compared. They have 128 bits, so that two texts never share one. The key of an identifier
includes its kind and brand (R13). An identity is all the identifiers that a record carries; its key is the exclusive or of theirs, so
a single identifier's identity has the identifier's own key.
#}
{% macro record_key(record_kind, record_id) -%}
    md5_number(concat('{{ record_kind }} ', {{ record_id }}))
{%- endmacro %}

{% macro identifier_key(identifier_kind, brand_id, identifier) -%}
    md5_number(concat('{{ identifier_kind }} ', length({{ brand_id }}), ' ', {{ brand_id }}, ' ', {{ identifier }}))
{%- endmacro %}

{# Attribution: the key of a brand's sequence of channels. #}
{% macro path_key(brand_id, channels) -%}
    md5_number({{ set_key(brand_id, channels) }})
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
The prefix of a key: 40 of its bits. A search for a few keys among very many compares prefixes first, as most of the work is to read
keys. Among a hundred million keys, a hundred thousand that aren't there match ten or so prefixes; reading these keys whole costs little.
#}
{% macro hash_prefix(key) -%}
    cast({{ key }} & 1099511627775 as ubigint)
{%- endmacro %}

{# The bucket of a key: 32 of its bits, enough where keys that share a bucket may be treated together. #}
{% macro hash_bucket(key) -%}
    cast({{ key }} & 4294967295 as uinteger)
{%- endmacro %}

{# A key as text. Far faster than a cast, which writes decimals. #}
{% macro key_text(key) -%}
    hex({{ key }})
{%- endmacro %}

{# Null, of the type of the keys of identifiers, clusters, identities and records. #}
{% macro null_key() -%}
    cast(null as uhugeint)
{%- endmacro %}
