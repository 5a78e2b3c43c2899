# The model server as a custom image, for model = { image = "…" }. It reads the model from /opt/ml/model, where SageMaker
# mounts it; or copy a model there in a second stage.
#
#   docker build -t embedstack .
#   docker run --read-only --tmpfs /tmp -p 8080:8080 -v "$PWD/my-model:/opt/ml/model:ro" embedstack serve
FROM python:3.12-slim AS build
WORKDIR /build
COPY locks/build.txt locks/server.txt locks/
RUN python -m venv backends \
 && backends/bin/pip install --no-cache-dir --no-deps --require-hashes --requirement locks/build.txt \
 && python -m venv /opt/embedstack \
 && /opt/embedstack/bin/pip install --no-cache-dir --no-deps --require-hashes --requirement locks/server.txt
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN backends/bin/pip wheel --no-deps --no-build-isolation --wheel-dir wheels . \
 && /opt/embedstack/bin/pip install --no-cache-dir --no-deps wheels/*.whl

FROM python:3.12-slim
LABEL com.amazonaws.sagemaker.capabilities.accept-bind-to-port=true
COPY --from=build /opt/embedstack /opt/embedstack
COPY docker/serve /usr/local/bin/serve
RUN useradd --system --no-create-home embedstack
USER embedstack
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=2s --start-period=240s \
  CMD ["/opt/embedstack/bin/python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/ping', timeout=2)"]
STOPSIGNAL SIGTERM
CMD ["serve"]
