"""The table of what is changed and what says so, on moto."""

from support.dynamodb.tampering import *  # noqa: F403 - the tests themselves
