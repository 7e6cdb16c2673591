# dkvb in a container: `docker build -t dkvb .` for CPUs, `docker build --build-arg DEVICE=cu128 -t dkvb .` for NVIDIA GPUs.
ARG PYTHON=3.12
FROM python:${PYTHON}-slim

# which build of PyTorch: cpu, or a CUDA version such as cu128. FAISS comes in one form, which searches on GPUs where there is one.
ARG DEVICE=cpu
ARG UV=0.13.9
# which extras of dkvb: formats of exports, serving, signatures
ARG EXTRAS=onnx,serve,sign

SHELL ["/bin/bash", "-o", "pipefail", "-c"]
COPY pyproject.toml README.md LICENSE /opt/dkvb/
COPY pipeline /opt/dkvb/pipeline
COPY docs/serve.py /opt/dkvb/docs/serve.py
RUN pip install --no-cache-dir "uv==${UV}" \
    && uv pip install --system --no-cache --torch-backend "${DEVICE}" "/opt/dkvb[${EXTRAS}]" \
    && useradd --create-home --uid 1000 dkvb \
    && install --directory --owner dkvb --group dkvb /workspace

# data, reports, recipes and downloaded weights: all that is written
ENV XDG_CACHE_HOME=/workspace/.cache TORCH_HOME=/workspace/.cache/torch HF_HOME=/workspace/.cache/huggingface \
    NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
VOLUME /workspace
WORKDIR /workspace
USER 1000
ENTRYPOINT ["dkvb"]
CMD ["--help"]
