"""The operations of boto3's DynamoDB client that the registry uses; boto3 creates the client's class at run time."""

from typing import Any, Protocol

Answer = dict[str, Any]


class Waiter(Protocol):
    """Polls until a resource has reached a state."""

    def wait(self, **request: object) -> None:
        """Block until then; botocore's WaiterError after the last poll."""


class DynamoDbApi(Protocol):
    """The operations by their names in boto3; each takes the request's parameters and returns the response."""

    def get_item(self, **request: object) -> Answer:
        """Read one item by its key."""

    def query(self, **request: object) -> Answer:
        """Read a page of items of one partition, of a table or an index."""

    def scan(self, **request: object) -> Answer:
        """Read a page of items of a whole table."""

    def batch_get_item(self, **request: object) -> Answer:
        """Read several items by their keys."""

    def transact_write_items(self, **request: object) -> Answer:
        """Write several items, all or none."""

    def update_item(self, **request: object) -> Answer:
        """Change attributes of one item."""

    def delete_item(self, **request: object) -> Answer:
        """Delete one item."""

    def create_table(self, **request: object) -> Answer:
        """Begin to create a table."""

    def describe_table(self, **request: object) -> Answer:
        """Return a table's keys, indexes and state."""

    def describe_time_to_live(self, **request: object) -> Answer:
        """Return the attribute by which a table's items expire."""

    def update_time_to_live(self, **request: object) -> Answer:
        """Set the attribute by which a table's items expire."""

    def update_continuous_backups(self, **request: object) -> Answer:
        """Switch point-in-time recovery on or off."""

    def get_waiter(self, waiter_name: str, /) -> Waiter:
        """Return a waiter, such as ``table_exists``."""

    def close(self) -> None:
        """Close the connections."""
