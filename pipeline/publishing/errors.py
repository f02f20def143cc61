"""Errors of publication."""


class PublicationError(Exception):
    """Nothing was published. The message says why and what to do."""
