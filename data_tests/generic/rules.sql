{#
The rules of a model's rows, in one test, as each test costs time in every build. A failure is one row: its `broken_rules` name each
broken rule, its columns, and in how many cases it is broken.

- `keys`: columns, or lists of columns, that identify a row: unique together, and never null.
- `unique`: the same, but null is a value like any other.
- `not_null`: columns that are never null.
- `accepted_values`: by column, the values that it has where it isn't null.
- `row_count_of`: the relation with as many rows, so that no row is lost or doubled between two layers; `row_count_where` says which
  of its rows.
- `affected_by`: for a mart that accumulates, the column that says which rows this build replaced: those of `affected_contacts`. Only
  these are checked.
#}
{% test rules(
    model, keys=[], unique=[], not_null=[], accepted_values={}, row_count_of=none, row_count_where='true', affected_by=none, affected_contacts=none
) %}
{%- set is_view = execute and (load_cached_relation(model) or {}).is_view -%}
{%- set affected_rows = model ~ ' where ' ~ is_affected(affected_by, affected_contacts) -%}
{#- A view is computed once for all rules. Of a table, each rule reads its own columns only. -#}
{%- set rows = 'checked_rows' if is_view else affected_rows -%}
{%- set rules = {} -%}
{%- for key in keys + unique -%}
    {%- set columns = key if key is string else key | join(', ') -%}
    {%- do rules.update({columns ~ ' repeats': count_repeated(rows, columns)}) -%}
{%- endfor -%}
{%- set never_null = [] -%}
{%- for key in keys -%}
    {%- do never_null.extend([key] if key is string else key) -%}
{%- endfor -%}
{%- for column in never_null + not_null -%}
    {%- do rules.update({column ~ ' is null': count_missing(column)}) -%}
{%- endfor -%}
{%- for column, values in accepted_values.items() -%}
    {%- do rules.update({column ~ ' is none of ' ~ values | join(', '): count_others(column, values)}) -%}
{%- endfor -%}
{%- if row_count_of -%}
    {%- do rules.update({'rows more or fewer than in ' ~ row_count_of.identifier: count_difference(row_count_of, row_count_where)}) -%}
{%- endif -%}
with
{% if is_view %}
checked_rows as (
    select * from {{ affected_rows }}
),
{% endif %}
counts as (
    select
        {% for count in rules.values() %}
        {{ count }} as count_{{ loop.index }}{{ ',' if not loop.last }}
        {% endfor %}
    from {{ rows }}
),
broken as (
    select
        concat_ws(
            '; '
            {% for rule in rules %}
            , case when count_{{ loop.index }} > 0 then concat('{{ rule | replace("'", "''") }}: ', count_{{ loop.index }}) end
            {% endfor %}
        ) as broken_rules
    from counts
)
select broken_rules
from broken
where broken_rules <> ''
{% endtest %}
