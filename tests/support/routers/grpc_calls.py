"""A gRPC model server that answers with its version, and calls that count which version answers."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final

import grpc

PORT: Final = 50051
_METHOD: Final = "/fraud.Model/Predict"
_SECONDS: Final = 5.0


def _model(version: str) -> Any:
    answer = version.encode()
    predict = grpc.unary_unary_rpc_method_handler(lambda _request, _context: answer)
    return grpc.method_handlers_generic_handler("fraud.Model", {"Predict": predict})


@contextmanager
def serving(versions: Mapping[str, str]) -> Iterator[None]:
    """Serve each version at its address until the block ends."""
    with ThreadPoolExecutor(max_workers=8) as pool:
        servers = []
        for version, address in versions.items():
            server = grpc.server(pool, handlers=[_model(version)])
            assert server.add_insecure_port(f"{address}:{PORT}")
            server.start()
            servers.append(server)
        try:
            yield
        finally:
            for server in servers:
                server.stop(grace=None).wait()


def answers(target: str, count: int, options: Sequence[tuple[str, str]] = ()) -> Counter[str]:
    """Call ``count`` times and return how often each version has answered; a call that fails counts under its code."""
    found: Counter[str] = Counter()
    with grpc.insecure_channel(target, options=options) as channel:
        call = channel.unary_unary(_METHOD)
        for _ in range(count):
            try:
                found[call(b"", timeout=_SECONDS, wait_for_ready=True).decode()] += 1
            except grpc.RpcError as problem:
                found[str(problem.code())] += 1
    return found
