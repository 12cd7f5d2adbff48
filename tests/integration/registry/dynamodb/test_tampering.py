"""The table of what is changed and what says so, on DynamoDB Local."""

from support.dynamodb.tampering import *  # noqa: F403 - the tests themselves
