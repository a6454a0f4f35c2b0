# Two images from one file: `web` (no torch: pages, REST, beat, short tasks) and `worker` (with
# the engine). Built by docker-compose.yml; neither holds a secret.

FROM python:3.11-slim-bookworm AS base
ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# A volume takes its owner from the folder that it is first mounted over.
RUN useradd --create-home --uid 10001 factloop \
 && mkdir -p /app /var/lib/factloop/storage /var/lib/factloop/runs && chown -R factloop /var/lib/factloop
WORKDIR /app
ENV FACTLOOP_VAR=/var/lib/factloop
# The commit, which checkpoints are told; the image holds no repository to ask.
ARG CODE_VERSION=""
ENV CODE_VERSION=$CODE_VERSION

FROM base AS web
ARG EXTRAS="s3"
COPY pyproject.toml constraints.txt ./
# The dependencies first, so that a change of the source does not install them again.
RUN python -c "import sys, tomllib; p = tomllib.load(open('pyproject.toml', 'rb'))['project']; print(*p['dependencies'], *(one for extra in sys.argv[1:] for one in p['optional-dependencies'][extra]), sep='\n')" $EXTRAS > requirements.txt \
 && pip install --constraint constraints.txt -r requirements.txt
COPY . .
RUN DATABASE_URL=postgres://build ALLOWED_HOSTS=build \
    SECRET_KEY=$(python -c "import secrets; print(secrets.token_urlsafe(50))") \
    python manage.py collectstatic --noinput --verbosity 0
USER factloop
EXPOSE 8000
# No access log of gunicorn: it would hold addresses, and some of them let people in.
CMD ["gunicorn", "config.wsgi", "--bind", "0.0.0.0:8000"]

FROM base AS worker
# All that forms and commands offer, but vLLM: it brings a torch of its own.
ARG EXTRAS="engine four-bit parquet s3 tensorboard"
COPY pyproject.toml constraints.txt ./
RUN python -c "import sys, tomllib; p = tomllib.load(open('pyproject.toml', 'rb'))['project']; print(*p['dependencies'], *(one for extra in sys.argv[1:] for one in p['optional-dependencies'][extra]), sep='\n')" $EXTRAS > requirements.txt \
 && pip install --constraint constraints.txt -r requirements.txt
COPY . .
USER factloop
CMD ["celery", "-A", "config", "worker", "-Q", "cpu", "--loglevel", "INFO"]
