# The images of the worker and of the operator: `--target worker`, `--target operator`.
#
# The base is an argument, so that a machine without an image registry can give one it made itself.
# Layers go from what seldom changes to what often does: a change of code alone replaces only the
# last one. Build arguments PIP_CERT and PIP_INDEX_URL reach pip; neither ends up in the images.
ARG PYTHON_IMAGE=python:3.13-slim

# The lists of what to install, apart from the rest of pyproject.toml, which changes more often.
FROM ${PYTHON_IMAGE} AS requirements
WORKDIR /lists
COPY pyproject.toml constraints.txt ./
RUN for list in "run.txt ['project']['dependencies']" \
        "operator.txt ['project']['optional-dependencies']['operator']" \
        "build.txt ['build-system']['requires']"; do \
      python3 -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))${list#* }, sep='\n')" > "${list%% *}" || exit 1; \
    done && touch --date=@0 ./*

# What windlass depends on, by the versions of constraints.txt.
FROM ${PYTHON_IMAGE} AS dependencies
ARG PIP_CERT
ARG PIP_INDEX_URL
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /build
RUN python3 -m venv /opt/venv
COPY --from=requirements /lists/run.txt /lists/constraints.txt ./
RUN /opt/venv/bin/pip install --quiet --constraint constraints.txt --requirement run.txt \
    && echo /opt/windlass > "$(/opt/venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/windlass.pth"

# What the operator depends on beyond that; the worker's image never gets it.
FROM dependencies AS operator-dependencies
ARG PIP_CERT
ARG PIP_INDEX_URL
COPY --from=requirements /lists/operator.txt ./
RUN /opt/venv/bin/pip install --quiet --constraint constraints.txt --requirement operator.txt

# The wheel of this tree, unpacked into a folder of its own beside the dependencies.
FROM dependencies AS package
ARG PIP_CERT
ARG PIP_INDEX_URL
COPY --from=requirements /lists/build.txt ./
RUN python3 -m venv /opt/build && /opt/build/bin/pip install --quiet --requirement build.txt
COPY pyproject.toml README.md LICENSE ./
COPY worker worker
COPY operator operator
COPY examples/01-quickstart examples/01-quickstart
RUN /opt/build/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir /wheels . \
    && /opt/venv/bin/pip install --quiet --no-deps --target /opt/windlass /wheels/*.whl

# What both images have: a user without rights, and a place for an application's own code.
FROM ${PYTHON_IMAGE} AS runtime
RUN echo 'windlass:x:65532:65532:windlass:/app:/usr/sbin/nologin' >> /etc/passwd \
    && echo 'windlass:x:65532:' >> /etc/group
ENV PATH=/opt/windlass/bin:/opt/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /app

FROM runtime AS operator
COPY --from=operator-dependencies /opt/venv /opt/venv
COPY --from=package /opt/windlass /opt/windlass
USER 65532:65532
ENTRYPOINT ["windlass-operator"]

# The last, so also what a build without a target gives. An application's image is built FROM it.
FROM runtime AS worker
COPY --from=dependencies /opt/venv /opt/venv
COPY --from=package /opt/windlass /opt/windlass
USER 65532:65532
# Exec form: the worker is process 1 and hears SIGTERM itself, which is what makes a drain possible.
ENTRYPOINT ["windlass"]
CMD ["worker"]
