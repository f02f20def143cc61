"""What HTTP sources have in common."""

from collections.abc import Callable, Mapping
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from sources.http_client import HttpClient
from sources.source import Source, VariableName, environment_value

Credentials = Callable[[str], Mapping[str, str]]


class HttpSource(Source):
    """`token_variable` names the environment variable that holds the credential."""

    token_variable: VariableName
    url: str
    timeout_seconds: Annotated[float, Field(gt=0, le=3600)] = 60
    attempts: Annotated[int, Field(ge=1, le=100)] = 8
    wait_seconds: Annotated[float, Field(gt=0, le=900)] = 1

    @field_validator("url")
    @classmethod
    def is_an_address(cls, url: str) -> str:
        parts = urlsplit(url)
        is_safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost"))
        if not is_safe or not parts.hostname:
            raise ValueError("write an address that begins with https://, as a credential is sent there")
        if "@" in parts.netloc or parts.query or parts.fragment:
            raise ValueError("write the address without a name, password or parameters: messages show it")
        return url

    def client(self, headers: Credentials | None = None, parameters: Credentials | None = None) -> HttpClient:
        """Raises SourceError if the credential isn't set."""
        credential = environment_value(self.token_variable, "token_variable")
        return HttpClient(
            self.url,
            credential=credential,
            credential_of=self.token_variable,
            headers=headers(credential) if headers else None,
            parameters=parameters(credential) if parameters else None,
            timeout_seconds=self.timeout_seconds,
            attempts=self.attempts,
            wait_seconds=self.wait_seconds,
        )
