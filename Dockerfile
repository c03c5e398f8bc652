# `points`, with nothing else: docker build -t points-ledger . && docker run points-ledger --help
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
RUN useradd --uid 10001 --create-home points && install -d -o points -g points /var/lib/points
COPY --from=build /opt/points /opt/points
ENV PATH=/opt/points/bin:$PATH PYTHONUNBUFFERED=1 POINTS_LEDGER=/var/lib/points/ledger
USER points
WORKDIR /var/lib/points
VOLUME /var/lib/points
ENTRYPOINT ["points"]
CMD ["--help"]
