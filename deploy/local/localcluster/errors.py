"""Errors of the local cluster."""


class LocalClusterError(Exception):
    """Something that the local cluster needs is missing or failed; the message says what, where and what to do next."""


class ChecksumError(LocalClusterError):
    """A downloaded file does not have the published checksum."""
