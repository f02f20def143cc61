{#
The attribution models: by how much each weighs a touch among those of its contact. A new model is an entry here. A weight is a
whole number, not negative, that is the same in every build: sums of it are exact, whatever their order. It is told by

    touch_position             1 for the earliest touch that the history keeps
    kept_touch_count           how many it keeps
    last_non_direct_position   the position of the last touch that isn't direct; null if all are
    half_lives_before_last     how long before the contact's last touch it happened
    removal_effect, shapley_value  what its channel is worth in its brand; these change with every build, so credits that are
                               weighed by them (`is_data_driven`) aren't kept, but worked out where they are read
#}
{% macro attribution_models() -%}
    {%- set first_share = (var('position_based_first_share') | float * 1000000) | round | int -%}
    {#- The two are rounded together, or a millionth might be missing for those between. -#}
    {%- set last_share = ((var('position_based_first_share') | float + var('position_based_last_share') | float) * 1000000) | round | int - first_share -%}
    {{ return({
        'first_touch': {'weight': "case when touch_position = 1 then 1 else 0 end"},
        'last_touch': {'weight': "case when touch_position = kept_touch_count then 1 else 0 end"},
        'last_non_direct': {'weight': "case when touch_position = coalesce(last_non_direct_position, kept_touch_count) then 1 else 0 end"},
        'linear': {'weight': "1"},
        'position_based': {'weight':
            "case"
            " when kept_touch_count = 1 then 1"
            " when touch_position = 1 then " ~ first_share ~ " * greatest(kept_touch_count - 2, 1)"
            " when touch_position = kept_touch_count then " ~ last_share ~ " * greatest(kept_touch_count - 2, 1)"
            " else " ~ (1000000 - first_share - last_share) ~
            " end"},
        'time_decay': {'weight': "round(" ~ parts_of_one() ~ " * power(0.5, half_lives_before_last))"},
        'markov': {'weight': "removal_effect", 'is_data_driven': true},
        'shapley': {'weight': "shapley_value", 'is_data_driven': true},
    }) }}
{%- endmacro %}

{# The names of all models, or of those that are data-driven or aren't. #}
{% macro attribution_model_names(is_data_driven=none) -%}
    {%- set names = [] -%}
    {%- for name, model in attribution_models().items() -%}
        {%- if is_data_driven is none or is_data_driven == model.get('is_data_driven', false) -%}{%- do names.append(name) -%}{%- endif -%}
    {%- endfor -%}
    {{ return(names) }}
{%- endmacro %}

{# The same of each model, whose name stands for MODEL, as columns. #}
{% macro of_each_model(expression, is_data_driven=none) -%}
    {%- for model in attribution_model_names(is_data_driven) %}
        {{ expression | replace('MODEL', model) }}{{ ',' if not loop.last }}
    {%- endfor %}
{%- endmacro %}

{# What credits and worths are counted in, so that they are whole numbers until they are shown. #}
{% macro parts_of_one() -%}
    1000000000000
{%- endmacro %}

{# Multiplied, not divided: only a product of decimals is exact. #}
{% macro as_share(parts, digits=18) -%}
    cast(cast({{ parts }} as decimal(26, 0)) * 0.000000000001 as decimal({{ digits }}, 12))
{%- endmacro %}

{# The whole parts of a share of a whole number in another, by exact division. #}
{% macro parts_of_share(count, total) -%}
    (cast({{ count }} as hugeint) * {{ parts_of_one() }} // {{ total }})
{%- endmacro %}

{# A share of a value, exactly: wide enough that no digit is lost. #}
{% macro credited_value(value, credit) -%}
    cast(cast({{ value }} as decimal(20, 2)) * {{ credit }} as decimal(36, 14))
{%- endmacro %}

{#
A query of a contact's touches and of what each earned by some models, a column each. Shares are cut off after the twelfth
decimal; what is then missing to one whole contact goes to its last touch. Where nothing weighs anything, all weigh the same.
#}
{% macro with_credits(touches, models) -%}
    {%- set weights = attribution_models() -%}
    select
        * exclude (
            {%- for model in models %}
            {{ model }}_weight,
            {{ model }}_total,
            {{ model }}_parts{{ ',' if not loop.last }}
            {%- endfor %}
        ),
        {%- for model in models %}
        {{ as_share(
            model ~ "_parts + case when touch_position = kept_touch_count then " ~ parts_of_one()
            ~ " - sum(" ~ model ~ "_parts) over (partition by contact_id) else 0 end"
        ) }} as {{ model }}{{ ',' if not loop.last }}
        {%- endfor %}
    from (
        select
            *,
            {%- for model in models %}
            case
                when {{ model }}_total > 0 then {{ parts_of_share(model ~ '_weight', model ~ '_total') }}
                else {{ parts_of_one() }} // kept_touch_count
            end as {{ model }}_parts{{ ',' if not loop.last }}
            {%- endfor %}
        from (
            select
                *,
                {%- for model in models %}
                sum({{ model }}_weight) over (partition by contact_id) as {{ model }}_total{{ ',' if not loop.last }}
                {%- endfor %}
            from (
                select
                    *,
                    {%- for model in models %}
                    cast({{ weights[model].weight }} as hugeint) as {{ model }}_weight{{ ',' if not loop.last }}
                    {%- endfor %}
                from {{ touches }}
            ) as weighed
        ) as totalled
    ) as shared
{%- endmacro %}
