"""The marts that are published."""

# In this order.
MARTS = (
    "journal",
    "client_card",
    "interaction_history",
    "client_history",
    "contact_counts",
    "touch_chains",
    "channel_steps",
    "channel_participation",
    "channel_worths",
    "touch_credits",
    "channel_credits",
    "unmapped_sources",
    "channel_costs",
    "channel_performance",
    "metric_days",
)
# `touch_credits` row by row, so not compared on its own.
UNPIVOTED = "channel_attribution"
# Published as views over published tables.
VIEWS = ("touch_credits", UNPIVOTED)
# Published under another name: what a view reads, and what explains the marts.
PUBLISHED_AS = {
    "int_touch_credits": "_touch_credits",
    "int_path_credits": "_path_credits",
    "int_oversized_clients": "_large_clients",
    "int_left_out_events": "_same_events",
}
# The column of the contact in tables of which builds replace the rows of the contacts that they work out again.
CONTACTS = {
    "journal": "contact_id",
    "client_card": "first_contact_id",
    "interaction_history": "contact_id",
    "client_history": "contact_id",
    "int_touch_credits": "contact_id",
}
# The column of the day in marts whose rows depend on contacts and costs of that day alone; those of data-driven models, on all contacts.
DAYS = {
    "contact_counts": "contact_date",
    "touch_chains": "contact_date",
    "channel_steps": "contact_date",
    "channel_participation": "contact_date",
    "channel_credits": "contact_date",
    "channel_performance": "performance_date",
}
BY_MODEL = ("channel_credits", "channel_performance")
# Published as tables: what views read, then what is made of these.
BASES = (*CONTACTS, "int_path_credits")
DERIVED = tuple(mart for mart in MARTS if mart not in (*BASES, *VIEWS))
# The published order of rows where readers look for a few of many: a page of the journal, one client.
ORDERS = {
    "journal": "contacted_at, contact_id",
    "client_history": "contacted_at, contact_id",
    "client_card": "first_contact_at, client_id",
    "int_touch_credits": "contact_date, contact_id, touch_position",
}
