# One image for every role: `docker run fedcoin start --mine`, `docker run fedcoin train server`,
# `docker run fedcoin train client`. State lives in the volume /var/lib/fedcoin.

ARG PYTHON_IMAGE=docker.io/library/python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
WORKDIR /src
RUN python3 -m venv /opt/fedcoin
# The dependencies change seldom and take long; they get a layer of their own.
COPY requirements.lock requirements-build.lock ./
RUN /opt/fedcoin/bin/pip install --no-cache-dir --disable-pip-version-check \
        --requirement requirements.lock
COPY setup.py pyproject.toml MANIFEST.in README.md LICENSE ./
COPY proto proto
COPY fedcoin fedcoin
RUN PIP_CONSTRAINT=requirements-build.lock PIP_BUILD_CONSTRAINT=requirements-build.lock \
        /opt/fedcoin/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps .

FROM ${PYTHON_IMAGE}
RUN groupadd --gid 10001 fedcoin \
    && useradd --uid 10001 --gid fedcoin --home-dir /var/lib/fedcoin --create-home fedcoin
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
ENTRYPOINT ["fedcoin-node"]
CMD ["--help"]
