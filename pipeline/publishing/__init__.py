"""Publishes the built marts: writes a new generation, audits it, and switches readers by moving a link."""

from pipeline.publishing.errors import PublicationError
from pipeline.publishing.generations import Generation, Publications

__all__ = ["Generation", "PublicationError", "Publications"]
