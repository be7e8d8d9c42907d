# One image for every party: docker run sealedge COMMAND. See docs/containers.md.
ARG PYTHON=python:3.11-slim-bookworm

FROM ${PYTHON} AS build
ENV UV_PROJECT_ENVIRONMENT=/opt/sealedge UV_PYTHON_DOWNLOADS=never UV_NO_CACHE=1
WORKDIR /build
COPY scripts/uv.txt ./scripts/
RUN ["python3", "-m", "venv", "/opt/uv"]
RUN ["/opt/uv/bin/pip", "--disable-pip-version-check", "install", "--no-cache-dir", "--require-hashes", \
     "--only-binary", ":all:", "-r", "scripts/uv.txt"]
# iotcore is a broker for trials on one machine, and the fleet here has mosquitto; of rich, pygments colours source code,
# which nobody prints.
ENV SYNC="sync --frozen --no-dev --no-editable --no-install-package iotcore --no-install-package pygments"
COPY pyproject.toml uv.lock ./
RUN /opt/uv/bin/uv $SYNC --no-install-project
COPY . .
RUN /opt/uv/bin/uv $SYNC && /opt/sealedge/bin/python deploy/trial/make.py /opt/trial
WORKDIR /volumes
RUN PYTHONPYCACHEPREFIX=/opt/bytecode /opt/sealedge/bin/python /build/deploy/bytecode.py \
        sealedge broker edge_agent verifier publisher storage

# Folders that volumes are mounted on: a new volume takes their owner and mode.
RUN mkdir -p -m 0755 fleet fleet/agents fleet/sensors fleet/consumers && \
    mkdir -m 0700 state authority fleet/trust fleet/broker fleet/operator fleet/verifier fleet/publisher \
        fleet/agents/agent-1 fleet/agents/agent-2 fleet/sensors/sensor-1 fleet/consumers/consumer-1

FROM ${PYTHON}
COPY --from=build /opt/sealedge /opt/sealedge
COPY --from=build /opt/bytecode /opt/bytecode
COPY --from=build /opt/trial /opt/trial
COPY --from=build /build/deploy/provision.py /opt/deploy/
COPY --from=build --chown=10001:10001 /volumes /
ENV PATH=/opt/sealedge/bin:/usr/local/bin:/usr/bin:/bin PYTHONPYCACHEPREFIX=/opt/bytecode PYTHONDONTWRITEBYTECODE=1 \
    SEALEDGE_STATE=/state SEALEDGE_BROKER__HEARTBEAT_FILE=/dev/shm/heartbeat
USER 10001:10001
WORKDIR /fleet
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["python", "-m", "broker.heartbeat"]
ENTRYPOINT ["sealedge"]
CMD ["--help"]
