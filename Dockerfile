# syntax=docker/dockerfile:1
# Two images from one file: `base`, the bot without torch, which may tune in Azure, and `train`, which also tunes on this
# machine.
# Both run as a user without rights and on a read-only root: only HOME, ERRATA_HOME and /tmp are written.
#   docker build --target base -t errata .
#   docker build --target train -t errata-train .

FROM python:3.11-slim AS wheel
WORKDIR /src
COPY requirements/build.txt requirements/build.txt
RUN pip install --no-cache-dir --require-hashes -r requirements/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY curation curation
COPY training training
COPY bot bot
RUN pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels .

FROM python:3.11-slim AS installed
COPY requirements/base.txt /src/requirements/base.txt
RUN python -m venv /opt/errata \
    && /opt/errata/bin/pip install --no-cache-dir --require-hashes -r /src/requirements/base.txt
COPY --from=wheel /wheels /wheels
RUN /opt/errata/bin/pip install --no-cache-dir --no-deps /wheels/*.whl

# torch and its kin: gigabytes, and so many files that they are pinned by version, without hashes.
FROM installed AS installed-train
COPY constraints.txt /src/constraints.txt
RUN wheel="$(echo /wheels/*.whl)" \
    && /opt/errata/bin/pip install --no-cache-dir -c /src/constraints.txt "${wheel}[train,azure,offline]"

FROM python:3.11-slim AS runtime
RUN groupadd --gid 10001 errata \
    && useradd --uid 10001 --gid errata --home-dir /home/errata --create-home --shell /usr/sbin/nologin errata \
    && install --directory --owner errata --group errata --mode 0700 /var/lib/errata
ENV PATH=/opt/errata/bin:$PATH \
    HOME=/home/errata \
    ERRATA_HOME=/var/lib/errata \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /home/errata
VOLUME ["/home/errata", "/var/lib/errata"]
STOPSIGNAL SIGTERM

FROM runtime AS train
COPY --from=installed-train /opt/errata /opt/errata
USER 10001:10001
ENTRYPOINT ["errata"]
CMD ["work", "--health", "127.0.0.1:8081"]

# Last, so that a build without --target makes it.
FROM runtime AS base
COPY --from=installed /opt/errata /opt/errata
USER 10001:10001
ENTRYPOINT ["errata"]
CMD ["serve"]
