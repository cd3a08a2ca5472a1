"""KServe's model server: what its servers of scikit-learn and LightGBM do with a request, by its own functions for them.

`python kserve_server.py KIND PATH --http_port PORT`; further options are those of `kserve.ModelServer`.
"""

import sys

import kserve
import predictor
from kserve.utils.utils import get_predict_input, get_predict_response


class Rows(kserve.Model):
    def __init__(self, kind, path):
        super().__init__("m")
        self.answers = predictor.load(kind, path)
        self.ready = True

    def predict(self, payload, headers=None, response_headers=None):
        return get_predict_response(payload, self.answers(get_predict_input(payload)), self.name)


if __name__ == "__main__":
    kserve.ModelServer().start([Rows(*sys.argv[1:3])])
