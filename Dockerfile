# `points`, with nothing else, which serves unless it is told otherwise:
#
#     docker build -t points-ledger .
#     docker run --rm -v points:/var/lib/points points-ledger keys new admin --scope operate --scope members:read --scope books:read
#     docker run -v points:/var/lib/points -p 127.0.0.1:8080:8080 points-ledger
#
# The native engine needs no Python to be built: it is for every one from 3.11 on.
FROM rust:1.90.0-slim-trixie AS engine
WORKDIR /src
COPY ledger ledger
COPY engine engine
RUN PYO3_NO_PYTHON=1 cargo build --release --locked --manifest-path engine/Cargo.toml --features extension-module

# Its Python is built with profile-guided optimisation.
FROM python:3.13.9-slim-trixie AS build
WORKDIR /src
RUN python -m venv /opt/points
ENV PATH=/opt/points/bin:$PATH
COPY requirements-image.lock .
RUN pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements-image.lock
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY ledger ledger
COPY consumers consumers
COPY projections projections
COPY service service
RUN pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation .
COPY --from=engine /src/engine/target/release/libpoints_engine.so /opt/points/lib/python3.13/site-packages/points_engine.abi3.so
RUN python -c 'from ledger.journal.engines import native_module; assert native_module() is not None'

FROM python:3.13.9-slim-trixie
RUN groupadd --gid 10001 points && useradd --uid 10001 --gid points --create-home points && install -d -o points -g points /var/lib/points
COPY --from=build /opt/points /opt/points
ENV PATH=/opt/points/bin:$PATH PYTHONUNBUFFERED=1 POINTS_LEDGER=/var/lib/points/ledger
# What `serve` reads, as it does POINTS_WORKERS and the rest; it refuses to listen there without keys.
ENV POINTS_HOST=0.0.0.0 POINTS_PORT=8080
USER 10001:10001
WORKDIR /var/lib/points
VOLUME /var/lib/points
# Of serve; of consume --metrics and --health, where they are told so.
EXPOSE 8080 9464 9465
# Of `serve`: another command says its own, or none.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['POINTS_PORT'] + '/health/live', timeout=3)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["points"]
CMD ["serve"]
