# The worker's image: the engine and nothing that Kubernetes would need to be spoken to.
#
# The base is an argument, so that a machine without an image registry can give one it made itself.
# Layers go from what seldom changes to what often does: a change of code alone replaces only the
# last one. Build arguments PIP_CERT and PIP_INDEX_URL reach pip; neither ends up in the image.
ARG PYTHON_IMAGE=python:3.13-slim

# The lists of what to install, apart from the rest of pyproject.toml, which changes more often.
FROM ${PYTHON_IMAGE} AS requirements
WORKDIR /lists
COPY pyproject.toml constraints.txt ./
RUN python3 -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" > run.txt \
    && python3 -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['build-system']['requires'], sep='\n')" > build.txt \
    && touch --date=@0 run.txt build.txt constraints.txt

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

# The wheel of this tree, unpacked into a folder of its own beside the dependencies.
FROM dependencies AS package
ARG PIP_CERT
ARG PIP_INDEX_URL
COPY --from=requirements /lists/build.txt ./
RUN python3 -m venv /opt/build && /opt/build/bin/pip install --quiet --requirement build.txt
COPY pyproject.toml README.md LICENSE ./
COPY worker worker
RUN /opt/build/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir /wheels . \
    && /opt/venv/bin/pip install --quiet --no-deps --target /opt/windlass /wheels/*.whl

FROM ${PYTHON_IMAGE} AS worker
RUN echo 'windlass:x:65532:65532:windlass:/app:/usr/sbin/nologin' >> /etc/passwd \
    && echo 'windlass:x:65532:' >> /etc/group
ENV PATH=/opt/windlass/bin:/opt/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
# An application's own code goes here; images of applications are built FROM this one.
WORKDIR /app
COPY --from=dependencies /opt/venv /opt/venv
COPY --from=package /opt/windlass /opt/windlass
USER 65532:65532
# Exec form: the worker is process 1 and hears SIGTERM itself, which is what makes a drain possible.
ENTRYPOINT ["windlass"]
CMD ["worker"]
