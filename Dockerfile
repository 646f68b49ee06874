# The worker, and the Prefect server beside it: one image, so that both have the versions of uv.lock.
# compose.yaml runs it; see deployments/README.md. It holds no key: those come by the environment.

FROM python:3.12.12-slim-bookworm AS build
RUN pip install --no-cache-dir uv==0.13.9
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never
WORKDIR /app
# The libraries first: they are not installed again when only the program has changed.
COPY pyproject.toml uv.lock README.md LICENSE ./
RUN uv sync --locked --no-dev --no-cache --extra s3 --no-install-project
COPY . .
RUN uv sync --locked --no-dev --no-cache --extra s3

FROM python:3.12.12-slim-bookworm
# That of whoever owns ./data and ./result on the host.
ARG INFER_UID=1000
RUN useradd --uid "$INFER_UID" --create-home infer
COPY --from=build /app /app
WORKDIR /app
# Volumes begin with the owner that these folders have.
RUN install --directory --owner=infer /app/result /home/infer/.prefect /home/infer/.cache
ENV PATH=/app/.venv/bin:$PATH PYTHONUNBUFFERED=1
USER infer
CMD ["prefect", "worker", "start", "--pool", "gemini-infer", "--with-healthcheck"]
