"""The marts that are published."""

# All of them but `channel_attribution`, in the order of the documentation.
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
# The credits of `touch_credits` with a row per model. Comparing both would compare the same twice.
CHANNEL_ATTRIBUTION = "channel_attribution"
# Published as views over published tables.
VIEWS = ("touch_credits", CHANNEL_ATTRIBUTION)
# Published under another name: what a view reads, and what explains the marts.
PUBLISHED_AS = {
    "int_touch_credits": "_touch_credits",
    "int_path_credits": "_path_credits",
    "int_oversized_clients": "_large_clients",
    "int_left_out_events": "_same_events",
}
# Tables whose rows a build replaces by contact, and the column with the contact.
CONTACT_COLUMNS = {
    "journal": "contact_id",
    "client_card": "first_contact_id",
    "interaction_history": "contact_id",
    "client_history": "contact_id",
    "int_touch_credits": "contact_id",
}
# Marts whose rows depend only on one day's contacts and costs, and the column with the day. Rows of data-driven models (in BY_MODEL)
# depend on all contacts.
DAY_COLUMNS = {
    "contact_counts": "contact_date",
    "touch_chains": "contact_date",
    "channel_steps": "contact_date",
    "channel_participation": "contact_date",
    "channel_credits": "contact_date",
    "channel_costs": "cost_date",
    "channel_performance": "performance_date",
}
BY_MODEL = ("channel_credits", "channel_performance")
# Published as tables: first what views read, then the other marts, most of which read it.
WRITTEN_FIRST = (*CONTACT_COLUMNS, "int_path_credits")
WRITTEN_FROM_THESE = tuple(mart for mart in MARTS if mart not in (*WRITTEN_FIRST, *VIEWS))
# The published order of rows where readers look for a few of many: a page of the journal, one client.
ORDERS = {
    "journal": "contacted_at, contact_id",
    "client_history": "contacted_at, contact_id",
    "client_card": "first_contact_at, client_id",
    "int_touch_credits": "contact_date, contact_id, touch_position",
}
