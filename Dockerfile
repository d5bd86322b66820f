# Debian, not Alpine: the memory hygiene below needs glibc.
FROM python:3.11-slim-bookworm AS build
WORKDIR /build
COPY requirements.txt pyproject.toml README.md LICENSE ./
RUN python -m venv /opt/sipis && /opt/sipis/bin/pip install --no-cache-dir --require-hashes -r requirements.txt
COPY sipis sipis
RUN /opt/sipis/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.11-slim-bookworm
# Freed memory is overwritten, so that a password does not outlive its request in the heap;
# PYTHONMALLOC=malloc hands every object to glibc, where the overwriting happens, save in the caches
# of its threads, which are therefore switched off.
ENV PYTHONMALLOC=malloc \
    GLIBC_TUNABLES=glibc.malloc.perturb=165:glibc.malloc.tcache_count=0 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PATH=/opt/sipis/bin:$PATH
RUN useradd --system --uid 10001 --home-dir /var/lib/sipis --create-home sipis
RUN install -d -o sipis -g sipis -m 0700 /var/lib/sipis-epoch
COPY --from=build /opt/sipis /opt/sipis
COPY config/sipis.toml /etc/sipis/sipis.toml
USER sipis
# Everything that is written lies in these two volumes; the root file system can be read-only.
# The epoch slot has a volume of its own because it must never be copied or backed up.
VOLUME ["/var/lib/sipis", "/var/lib/sipis-epoch"]
WORKDIR /var/lib/sipis
EXPOSE 8080 5060/udp 5060/tcp 5061/tcp 5070/tcp
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s CMD ["sipis", "health", "--config", "/etc/sipis/sipis.toml"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["sipis"]
CMD ["serve", "--config", "/etc/sipis/sipis.toml"]
