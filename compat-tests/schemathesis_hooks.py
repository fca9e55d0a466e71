"""Schemathesis reads the document's answers, too: `application/vnd.oai.openapi` is YAML."""

from typing import Any

import schemathesis
import yaml


@schemathesis.deserializer("application/vnd.oai.openapi")
def read_yaml(_: Any, response: Any) -> Any:
    """The body as data."""
    return yaml.safe_load(response.content)
