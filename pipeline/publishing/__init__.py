"""Publishing the marts that were built: tables are written into a new generation, audited, and shown by one move of a link."""

from pipeline.publishing.errors import PublicationError
from pipeline.publishing.generations import Generation, Publications

__all__ = ["Generation", "PublicationError", "Publications"]
