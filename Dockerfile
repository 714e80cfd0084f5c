# JupyterLab and the CPU build of PyTorch; docs/cloud.md shows how to use it.
FROM python:3.11-slim

RUN useradd --create-home dcgan
RUN pip install --no-cache-dir torch torchvision --index-url https://download.pytorch.org/whl/cpu
COPY . /src
RUN pip install --no-cache-dir "/src[commands]"

USER dcgan
RUN mkdir /home/dcgan/work
WORKDIR /home/dcgan/work
ENV DCGAN_HOME=/home/dcgan/work
VOLUME /home/dcgan/work

EXPOSE 8888
CMD ["dcgan", "lab", "--ip=0.0.0.0", "--no-browser"]
