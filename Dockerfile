# Two images from one file: `web` (no torch: pages, REST, beat, short tasks) and `worker` (with
# the engine). Built by docker-compose.yml; neither holds a secret, a compiler or this source tree:
# packages are installed in a stage of their own, and the environment is copied.
#
# For builds that are the same for ever, give the digest that your registry names:
#   --build-arg PYTHON=python:3.11-slim-bookworm@sha256:…
ARG PYTHON=python:3.11-slim-bookworm

FROM ${PYTHON} AS packages
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /source
RUN python -m venv /opt/factloop
ENV PATH=/opt/factloop/bin:$PATH
# The dependencies first, so that a change of the source does not install them again.
COPY pyproject.toml constraints.txt ./
COPY docker ./docker

FROM packages AS web-packages
ARG EXTRAS="s3"
RUN python docker/requirements.py $EXTRAS > requirements.txt
RUN pip install --constraint constraints.txt -r requirements.txt
COPY . .
RUN pip install --no-deps .

FROM packages AS worker-packages
# All that forms and commands offer, but vLLM: it brings a torch of its own.
ARG EXTRAS="engine four-bit parquet s3 tensorboard"
RUN python docker/requirements.py $EXTRAS > requirements.txt
RUN pip install --constraint constraints.txt -r requirements.txt
COPY . .
RUN pip install --no-deps .

FROM ${PYTHON} AS base
# A volume takes its owner from the folder that it is first mounted over.
RUN useradd --create-home --uid 10001 factloop \
 && mkdir -p /var/lib/factloop/storage /var/lib/factloop/runs && chown -R factloop /var/lib/factloop
WORKDIR /home/factloop
ENV PYTHONUNBUFFERED=1 PATH=/opt/factloop/bin:$PATH FACTLOOP_VAR=/var/lib/factloop
# The commit, which checkpoints are told; the image holds no repository to ask.
ARG CODE_VERSION=""
ENV CODE_VERSION=$CODE_VERSION

FROM base AS web
COPY --from=web-packages /opt/factloop /opt/factloop
RUN DATABASE_URL=postgres://build ALLOWED_HOSTS=build \
    SECRET_KEY=$(python -c "import secrets; print(secrets.token_urlsafe(50))") \
    factloop manage collectstatic --noinput --verbosity 0
USER factloop
EXPOSE 8000
# No access log of gunicorn: it would hold addresses, and some of them let people in.
CMD ["gunicorn", "--config", "python:config.gunicorn", "config.wsgi", "--bind", "0.0.0.0:8000"]

FROM base AS worker
COPY --from=worker-packages /opt/factloop /opt/factloop
USER factloop
CMD ["celery", "-A", "config", "worker", "-Q", "cpu", "--loglevel", "INFO"]
