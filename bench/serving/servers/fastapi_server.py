"""FastAPI as one would write it around a model: `python fastapi_server.py KIND PATH PORT`."""

import sys

import numpy as np
import predictor
import uvicorn
from fastapi import FastAPI, Request

kind, path, port = sys.argv[1:]
predict = predictor.load(kind, path)
app = FastAPI()


@app.post("/predict")
async def answer(request: Request):
    body = await request.json()
    return {"predictions": predict(np.array(body["instances"])).tolist()}


uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="warning")
