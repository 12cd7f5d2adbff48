# Serinus as a container: two stages, hashes for every package, nothing but Python and the virtual environment at the end.
#
# Pin the base by digest when you build for production (a tag can move):
#   docker build --build-arg BASE=python:3.12-slim@sha256:… -t serinus .
ARG BASE=python:3.12-slim

FROM ${BASE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /source
# The dependencies are a layer of their own: they change seldom.
COPY requirements-build.lock requirements-run.lock ./
RUN python -m venv /build \
 && /build/bin/pip install --require-hashes --only-binary=:all: -r requirements-build.lock \
 && python -m venv --without-pip /opt/serinus \
 && /build/bin/pip --python /opt/serinus/bin/python install --no-compile --require-hashes --only-binary=:all: \
      -r requirements-run.lock
COPY pyproject.toml README.md ./
COPY operator/serinus operator/serinus
# Without an index and without isolation: what builds the wheel is what the lock says.
RUN /build/bin/pip wheel --no-deps --no-index --no-build-isolation --wheel-dir /wheels . \
 && /build/bin/pip --python /opt/serinus/bin/python install --no-compile --no-deps --no-index /wheels/*.whl
# Bytecode that names the hash of its source: with the time of the source in it, no two builds would be the same.
# -f, because some is there already: pip, which runs in this Python, has imported attr.
RUN PYTHONHASHSEED=0 /opt/serinus/bin/python -m compileall -q -f --invalidation-mode unchecked-hash /opt/serinus/lib

FROM ${BASE}
LABEL org.opencontainers.image.title="serinus" \
      org.opencontainers.image.description="Puts machine-learning model versions into production safely" \
      org.opencontainers.image.licenses="Apache-2.0"
# The root file system is read-only: Python writes no bytecode (it is there already), and HOME is the one writable folder.
ENV PATH=/opt/serinus/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HOME=/tmp
COPY --from=build /opt/serinus /opt/serinus
WORKDIR /tmp
# By number, so that runAsNonRoot can be checked without reading the image's /etc/passwd.
USER 10001:10001
EXPOSE 8080
ENTRYPOINT ["serinus"]
CMD ["run"]
