"""A BentoML service with one API, by its typed arrays; `bentoml serve` reads the model's kind and path from the environment."""

import os

import bentoml
import numpy as np
import predictor


@bentoml.service(workers=1, logging={"access": {"enabled": False}})
class Rows:
    def __init__(self):
        self.answers = predictor.load(os.environ["MODEL_KIND"], os.environ["MODEL_PATH"])

    @bentoml.api
    async def predict(self, instances: np.ndarray) -> np.ndarray:
        return self.answers(instances)
