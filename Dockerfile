# The program with an index of the toy data inside: `docker run -p 45678:45678 IMAGE` serves it. It needs to write
# nothing but temporary files: `docker run --user 12345 --read-only --tmpfs /tmp -p 45678:45678 IMAGE` does as well.
FROM python:3.11-slim AS builder

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /venv
ENV PATH=/venv/bin:$PATH

# Where the CPU builds of torch and torchvision come from, and nothing else does. Without it, with
# `--build-arg TORCH_INDEX=`, pip takes PyPI's builds, which bring the CUDA libraries: some gigabytes more.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
COPY requirements.txt requirements-scale.txt ./
RUN if [ -n "$TORCH_INDEX" ]; then \
        pip install --no-deps --index-url "$TORCH_INDEX" $(grep -E '^(torch|torchvision)==' requirements.txt); \
    fi
RUN pip install -r requirements.txt -r requirements-scale.txt


FROM python:3.11-slim

ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 OMP_WAIT_POLICY=PASSIVE
# /collections is for a volume of yours; it is made here so that it belongs to the user.
RUN useradd --uid 1000 --create-home crossmodal && install -d -o crossmodal -g crossmodal /app /collections
COPY --from=builder /venv /venv
USER crossmodal
WORKDIR /app
COPY --chown=crossmodal:crossmodal . .
RUN python app.py -t index && python app.py -t map

# Weights of CLIP to have inside, downloaded and converted for OpenVINO: `--build-arg WEIGHTS=ViT-B-32/laion2b_s34b_b79k`.
ARG WEIGHTS=
RUN if [ -n "$WEIGHTS" ]; then python app.py -t download --weights "$WEIGHTS" --compile; fi

EXPOSE 45678 45679
# /healthz asks every Executor and answers within 10 seconds; anything but 200 raises. No proxy in between.
HEALTHCHECK --interval=30s --timeout=15s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.build_opener(r.ProxyHandler({})).open(f\"http://127.0.0.1:{os.environ.get('JINA_PORT', 45678)}/healthz\", timeout=14)"]

ENTRYPOINT ["python", "app.py"]
CMD ["-t", "query_restful", "--host", "0.0.0.0"]
