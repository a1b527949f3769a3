# One image for `web` and `worker`; docker-compose.yml and the Procfile have the command of each.

FROM python:3.13-slim AS packages
RUN python -m venv /venv
ARG LOCK=requirements.lock
COPY requirements*.lock ./
RUN /venv/bin/pip install --no-cache-dir --require-hashes --only-binary :all: --no-deps --requirement "$LOCK"

FROM python:3.13-slim
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
RUN useradd --create-home --uid 10001 runrelay
WORKDIR /app
COPY --from=packages /venv /venv
COPY shared shared
COPY api api
COPY worker worker
COPY cli cli
# Copies your agents.toml when there is one. Install what your agents need in an image that is built on this one.
COPY examples examples
COPY agents*.toml ./
# Agents keep the files of sessions here.
RUN mkdir .runrelay && chown runrelay .runrelay
USER runrelay

EXPOSE 8000
# For `web`. A worker serves no HTTP: turn the check off there (--no-healthcheck).
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ.get('PORT') or 8000), timeout=2); c.request('GET', '/healthz'); sys.exit(c.getresponse().status != 200)"]
CMD ["python", "-m", "api"]
