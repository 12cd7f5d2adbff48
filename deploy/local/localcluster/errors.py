"""What goes wrong here, said so that a person knows what to do next."""


class LocalClusterError(Exception):
    """Something the local cluster needs is missing or failed; the message says what, where and what to do next."""


class ChecksumError(LocalClusterError):
    """A downloaded file is not the one that was published."""
