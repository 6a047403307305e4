"""The questions to a model in a Session, and the wrong answers that they find out."""

import numpy as np
import pytest
import tensorflow as tf

from twofold.components.export.proof.proof_loader import Proof

NAMES = ["a", "b"]
EMBEDDINGS = np.array([[1, 2, 3], [4, 5, 6]], np.float32)
FILES = [b"xx", b"yyyyy"]
SCORES = [[0.25, 0.75], [0.5, 0.5]]


class Fake:
    """What a Session and its meta graph answer, by rote; every tensor is called as its key."""

    def __init__(self, signatures):
        self._answers = {name: answer for name, (_, answer) in signatures.items()}
        self.signature_def = {
            name: Definition(name, inputs, answer(**dict.fromkeys(inputs, FILES)))
            for name, (inputs, answer) in signatures.items()
        }

    def run(self, fetches, feeds):
        name = next(iter(fetches.values())).partition("/")[0]
        inputs = {key.partition("/")[2]: value for key, value in feeds.items()}
        if any(one == b"this is no image" for one in inputs.get("image_bytes", [])):
            if self.refuses:
                raise tf.errors.InvalidArgumentError(None, None, "no image")
            inputs["image_bytes"] = FILES
        return self._answers[name](**inputs)

    refuses = True


class Definition:
    def __init__(self, name, inputs, outputs):
        self.inputs = {key: Named(f"{name}/{key}") for key in inputs}
        self.outputs = {key: Named(f"{name}/{key}") for key in outputs}
        self.method_name = "tensorflow/serving/predict"


class Named:
    def __init__(self, name):
        self.name = name


def proof_of(fake, expected):
    questions = {
        "class_names": NAMES,
        "seed": 0,
        "few": 2,
        "example_feature": "image",
        "expected": expected,
    }
    arrays = {
        "buffer": np.frombuffer(b"".join(FILES), np.uint8),
        "lengths": np.array([len(one) for one in FILES]),
        "images": np.zeros((2, 4, 4, 1), np.uint8),
        "embeddings": EMBEDDINGS,
    }
    proof = Proof(fake, fake, questions, arrays)
    proof.run()
    return proof


def classify(**changes):
    answer = {
        "embedding": EMBEDDINGS,
        "logits": np.log(np.array(SCORES, np.float32)),
        "probabilities": np.array(SCORES, np.float32),
        "class_names": np.array([[b"a", b"b"]] * 2, object),
        **changes,
    }
    return {
        "classify": (["image_bytes"], lambda image_bytes: answer),
    }


def test_right_answers_leave_their_differences():
    proof = proof_of(Fake(classify(embedding=EMBEDDINGS + np.float32(0.06))), ["classify"])

    assert proof.failures == {}
    np.testing.assert_allclose(proof.differences["classify"], 0.06 / 6, rtol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"embedding": EMBEDDINGS[:, :2]}, r"embedding float32 of shape (2, 2), expected"),
        ({"embedding": EMBEDDINGS.astype(np.float64)}, "gives embedding float64"),
        ({"embedding": EMBEDDINGS * np.float32(np.nan)}, "numbers that are not finite"),
        ({"logits": np.zeros((2, 3), np.float32)}, r"logits float32 of shape (2, 3)"),
        ({"probabilities": np.full((2, 2), 0.4, np.float32)}, "differs from 1 by 2.00e-01"),
        ({"probabilities": np.array([[2, -1]] * 2, np.float32)}, "gives probabilities whose"),
        ({"class_names": np.array([[b"b", b"a"]] * 2, object)}, "gives class names [[b'b', b'a']]"),
        ({"more": EMBEDDINGS}, "'more', 'probabilities'], expected"),
    ],
)
def test_a_wrong_answer_is_found_out(changes, message):
    proof = proof_of(Fake(classify(**changes)), ["classify"])

    assert message in proof.failures["classify"]


def test_bytes_that_are_no_image_must_be_refused():
    fake = Fake(classify())
    fake.refuses = False

    assert "expected INVALID_ARGUMENT" in proof_of(fake, ["classify"]).failures["classify"]


def test_a_signature_too_few_or_too_many_is_found_out():
    proof = proof_of(Fake(classify()), ["embed"])

    assert proof.failures == {"classify": "is there and was not to be", "embed": "is missing"}


def test_other_inputs_are_found_out():
    fake = Fake({"embed": (["pixels"], lambda pixels: {"embedding": EMBEDDINGS})})

    message = "takes ['pixels'], expected ['images']"
    assert proof_of(fake, ["embed"]).failures == {"embed": message}


def test_views_that_a_seed_does_not_settle_are_found_out():
    random = np.random.default_rng(0)

    def augment(images, seed):
        views = random.random((2, *np.shape(images)), np.float32)
        return {"view_1": views[0], "view_2": views[1]}

    proof = proof_of(Fake({"augment": (["images", "seed"], augment)}), ["augment"])

    assert "gives for a seed a view_1 that differs by" in proof.failures["augment"]


def test_views_outside_the_unit_range_are_found_out():
    def augment(images, seed):
        view = np.full(np.shape(images), 1.5, np.float32)
        return {"view_1": view, "view_2": view}

    proof = proof_of(Fake({"augment": (["images", "seed"], augment)}), ["augment"])

    assert proof.failures["augment"] == "view_1 lies in [1.5, 1.5], expected [0, 1]"


def test_a_classify_signature_of_another_method_is_found_out():
    def answer(inputs):
        return {
            "classes": np.array([[b"a", b"b"]] * 2, object),
            "scores": np.array(SCORES, np.float32),
        }

    fake = Fake({"classify_examples": (["inputs"], answer)})

    failures = proof_of(fake, ["classify_examples"]).failures
    assert "is a signature of tensorflow/serving/predict" in failures["classify_examples"]
