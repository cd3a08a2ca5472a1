"""ONNX in MLServer, which has no runtime for it: a custom one, in the form of that for LightGBM."""

import predictor
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, NumpyRequestCodec
from mlserver.types import InferenceRequest, InferenceResponse
from mlserver.utils import get_model_uri


class OnnxModel(MLModel):
    async def load(self) -> bool:
        self._answers = predictor.load("onnx", await get_model_uri(self._settings))
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        rows = self.decode_request(payload, default_codec=NumpyRequestCodec)
        output = NumpyCodec.encode_output(name="predict", payload=self._answers(rows))
        return InferenceResponse(model_name=self.name, model_version=self.version, outputs=[output])
