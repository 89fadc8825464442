# syntax=docker/dockerfile:1

FROM python:3.13-slim AS build
WORKDIR /src
RUN python -m venv /opt/groq-proxy
COPY pyproject.toml README.md LICENSE ./
COPY proxy ./proxy
RUN /opt/groq-proxy/bin/pip install --no-cache-dir '.[otel,redis]'

FROM python:3.13-slim
RUN useradd --system --uid 10001 --home-dir /var/lib/groq-proxy --create-home groq-proxy
COPY --from=build /opt/groq-proxy /opt/groq-proxy
# A container listens beyond loopback, so calls need a key: the first one is made and printed once.
ENV PATH=/opt/groq-proxy/bin:$PATH PYTHONUNBUFFERED=1 PROXY_FIRST_KEY=1
USER groq-proxy
WORKDIR /var/lib/groq-proxy
VOLUME /var/lib/groq-proxy
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/healthz', timeout=2)"]
ENTRYPOINT ["groq-proxy"]
CMD ["serve", "--listen", "0.0.0.0:8080"]
