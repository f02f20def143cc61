"""Why nothing was published."""


class PublicationError(Exception):
    """Nothing was published; the message says why and what to do."""
