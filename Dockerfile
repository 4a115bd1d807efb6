# One image for every role: `docker run fedcoin start --mine`, `docker run fedcoin train server`,
# `docker run fedcoin train client`. State lives in the volume /var/lib/fedcoin.

# `make docker` gives the image of image.lock, whose digest `make lock-image` finds; any other build
# takes what this tag names on its day.
ARG PYTHON_IMAGE=docker.io/library/python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
WORKDIR /src
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# Every file that comes from the package index must have a hash in the lock. An environment of its
# own builds the package: pip's isolated builds check no hashes.
RUN python3 -m venv /opt/fedcoin && python3 -m venv /opt/build
# The dependencies change seldom and take long; they get a layer of their own.
COPY requirements.lock requirements-build.lock ./
RUN /opt/fedcoin/bin/pip install --require-hashes --only-binary :all: \
        --requirement requirements.lock \
    && /opt/build/bin/pip install --require-hashes --only-binary :all: \
        --requirement requirements-build.lock
COPY setup.py pyproject.toml MANIFEST.in README.md LICENSE ./
COPY proto proto
COPY fedcoin fedcoin
RUN /opt/build/bin/python setup.py --quiet bdist_wheel --dist-dir /tmp/wheels \
    && /opt/fedcoin/bin/pip install --no-index --no-deps /tmp/wheels/*.whl

FROM ${PYTHON_IMAGE}
# The sandbox of workers, which works where the container may mount a fresh /proc (docs/OPERATIONS.md).
RUN apt-get update && apt-get install --yes --no-install-recommends bubblewrap \
    && rm -rf /var/lib/apt/lists/*
RUN groupadd --gid 10001 fedcoin \
    && useradd --uid 10001 --gid fedcoin --home-dir /var/lib/fedcoin --create-home fedcoin \
    && chmod 0700 /var/lib/fedcoin
COPY --from=build /opt/fedcoin /opt/fedcoin
ENV PATH=/opt/fedcoin/bin:$PATH \
    FEDCOIN_HOME=/var/lib/fedcoin \
    PYTHONUNBUFFERED=1 \
    TF_CPP_MIN_LOG_LEVEL=2
USER fedcoin
WORKDIR /var/lib/fedcoin
VOLUME /var/lib/fedcoin
# Peers, API, coordinator.
EXPOSE 7050 7051 7052
STOPSIGNAL SIGTERM
# Of the node's API; a coordinator's container names its own, a client's has none
# (docs/OPERATIONS.md, Containers).
HEALTHCHECK --interval=30s --timeout=15s --start-period=120s --retries=3 \
    CMD ["fedcoin-node", "health", "--timeout", "10"]
ENTRYPOINT ["fedcoin-node"]
CMD ["--help"]
