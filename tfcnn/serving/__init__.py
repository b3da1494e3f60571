"""Runs as a service: TensorFlow Serving's REST, KServe's protocol version 2, and a page to drop an image on.

`service` is the way of a request: its body is read and prepared in a pool of threads, waits for its batch, and its
answer is written. `rest` and `kserve` are the protocols, `batching` the thread that computes, `network` a run as the
protocols see it, `limits` what is refused. No part of a request names a file: what a client sends is JSON or the bytes
of an image.

Starlette and uvicorn come with `pip install -r requirements-serve.txt`.
"""
