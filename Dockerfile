# `points`, with nothing else: docker build -t points-ledger . && docker run points-ledger --help
FROM python:3.13.9-slim-trixie AS build
WORKDIR /src
RUN python -m venv /opt/points
ENV PATH=/opt/points/bin:$PATH
COPY requirements-image.lock .
RUN pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements-image.lock
COPY pyproject.toml README.md LICENSE ./
COPY ledger ledger
COPY consumers consumers
COPY projections projections
COPY service service
RUN pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation .

FROM python:3.13.9-slim-trixie
RUN useradd --uid 10001 --create-home points && install -d -o points -g points /var/lib/points
COPY --from=build /opt/points /opt/points
ENV PATH=/opt/points/bin:$PATH PYTHONUNBUFFERED=1 POINTS_LEDGER=/var/lib/points/ledger
USER points
WORKDIR /var/lib/points
VOLUME /var/lib/points
ENTRYPOINT ["points"]
CMD ["--help"]
