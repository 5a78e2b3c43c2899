"""Text Embeddings Inference 1.8 and 1.9: their requests, their limits, their errors.

Taken from the source, ``router/src/http/server.rs`` and ``types.rs``, ``router/src/lib.rs``, ``core/src/infer.rs`` and
``core/src/tokenization.rs`` of huggingface/text-embeddings-inference at v1.8.2 and v1.9.3. The differences:

========================  ======================  =======================
Behaviour                 1.8                     1.9
========================  ======================  =======================
``truncate`` left out     long texts rejected     truncated, by default
rejected inputs           413                     422
an empty text             413                     400
more texts than allowed   413                     422
``left`` and ``right``    rejected                accepted
batches while overloaded  wait                    429
a text over a batch       never answered          container does not start
========================  ======================  =======================
"""

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import orjson

from embedstack.errors import ConfigurationError, InputError, NonFiniteVector, TextTooLong
from embedstack_server.compute.cross_encoder import CrossEncoder
from embedstack_server.compute.encoder import Encoder
from embedstack_server.http.protocol import Invocation, Response
from embedstack_server.http.requests import RequestError
from embedstack_server.model.cross_encoder_folder import CrossEncoderFolder
from embedstack_server.model.model_folder import ModelFolder
from localaws.services.sagemaker.containers.protocols.tei_requests import (
    FRAMEWORK,
    EmbedRequest,
    RerankRequest,
    check_content_type,
)
from localaws.services.sagemaker.containers.tei_settings import InvalidTeiSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from embedstack_server.compute.cross_encoder import Scores
    from embedstack_server.model.tokenizer import TextInput
    from localaws.services.sagemaker.containers.tei_settings import TeiSettings

#: Characters per token of the model's limit. Longer inputs are rejected, or truncated before tokenizing.
MAX_CHAR_MULTIPLIER = 250
#: HTTP status of each of TEI's error types; that of Validation depends on the release.
_STATUS = {"Tokenizer": 422, "Backend": 424, "Overloaded": 429, "Unhealthy": 503, "Empty": 400}
_VALIDATION = {"1.8": 413, "1.9": 422}
_PLAIN = "text/plain; charset=utf-8"


class TeiProtocol:
    """TEI's ``/embed`` and ``/rerank``: its SageMaker image serves at ``/invocations`` what the model can do."""

    def __init__(self, settings: "TeiSettings") -> None:
        """Create the protocol.

        Args:
            settings: The release and its options.
        """
        self._settings = settings
        self._in_flight = 0

    @property
    def payload_limit(self) -> int:
        """Largest accepted request body, in bytes."""
        return self._settings.payload_limit

    def prepare(self, model: "Encoder | CrossEncoder") -> "Encoder | CrossEncoder":
        """The model with the limit that the server's options set.

        Raises:
            ConfigurationError: The container would exit at start.
        """
        try:
            max_tokens = self._settings.max_tokens(model.model.max_tokens)
            if isinstance(model, Encoder) and self._settings.default_prompt_name is not None:
                self._check_prompt(model, self._settings.default_prompt_name)
        except InvalidTeiSettings as error:
            raise ConfigurationError(str(error)) from error
        except RequestError as error:
            raise ConfigurationError(error.message) from error
        if max_tokens == model.model.max_tokens:
            return model
        model.close()
        match model.model:
            case ModelFolder() as folder:
                return Encoder.of_folder(replace(folder, max_tokens=max_tokens), "auto")
            case CrossEncoderFolder() as folder:
                return CrossEncoder.of_folder(replace(folder, max_tokens=max_tokens), "auto")
        raise ConfigurationError(
            f"{model.model.model_id} runs with sentence-transformers here, where its limit cannot be lowered. Raise "
            f"MAX_BATCH_TOKENS to {model.model.max_tokens}."
        )

    async def respond(self, model: "Encoder | CrossEncoder", invocation: Invocation, /) -> Response:
        """Embed ``inputs``, or score ``texts`` for a ``query``; as JSON whatever the client accepts.

        Raises:
            RequestError: The request is rejected.
        """
        check_content_type(invocation.content_type)
        release = self._settings.release
        if isinstance(model, Encoder):
            return await self._embed(model, EmbedRequest.parse(invocation.body, release))
        return await self._rerank(model, RerankRequest.parse(invocation.body, release))

    def render_error(self, error: RequestError) -> Response:
        """``{"error", "error_type"}``; plain text for what TEI's web framework rejects."""
        if error.error_type == "payload_too_large":
            return Response(b"Failed to buffer the request body: length limit exceeded", _PLAIN, 413)
        if error.error_type == FRAMEWORK:
            return Response(error.message.encode(), _PLAIN, error.status)
        types = {"overloaded": ("Overloaded", "Model is overloaded"), "not_ready": ("Unhealthy", "unhealthy")}
        error_type, message = types.get(error.error_type, (error.error_type, error.message))
        if error_type not in (*_STATUS, "Validation"):
            error_type = "Backend"
        return Response(orjson.dumps({"error": message, "error_type": error_type}), status=self._status(error_type))

    async def _embed(self, encoder: Encoder, request: EmbedRequest) -> Response:
        self._check_batch(len(request.inputs))
        if not all(request.inputs):
            raise self._empty()
        if request.dimensions == 0:
            raise self._invalid("`dimensions` should be positive")
        truncate = self._truncates(request.truncate)
        prompt_name = self._settings.default_prompt_name
        if request.prompt_name is not None:
            prompt_name = request.prompt_name
            self._check_prompt(encoder, prompt_name)
        limit = encoder.model.max_tokens * MAX_CHAR_MULTIPLIER
        inputs = [self._within(limit, value, truncate=truncate) for value in request.inputs]
        with self._permits(len(inputs), waits=not request.is_single):
            try:
                tokenized = await encoder.atokenize(
                    inputs,
                    truncate=truncate,
                    direction=request.direction,
                    prompt_name=prompt_name,
                    # TEI reads a folder's prompts, but not its default_prompt_name.
                    prompt=self._settings.default_prompt or "" if prompt_name is None else None,
                )
                encoded = await encoder.acompute([text.ids for text in tokenized])
            except TextTooLong as error:
                raise await self._too_long(encoder, inputs[error.index or 0], prompt_name) from error
            except NonFiniteVector as error:
                raise self._refusal("Backend", "Backend error: the model computed a non-finite value") from error
            except InputError as error:
                raise self._invalid(str(error)) from error
        if request.dimensions is not None and request.dimensions > encoder.model.dimensions:
            raise self._invalid("`dimensions` should be smaller than the maximum embedding dimension.")
        vectors = encoded.vectors(request.dimensions, normalize=request.normalize)
        return Response(orjson.dumps(np.ascontiguousarray(vectors), option=orjson.OPT_SERIALIZE_NUMPY))

    async def _rerank(self, model: "CrossEncoder", request: RerankRequest) -> Response:
        if not request.texts:
            raise self._refusal("Empty", "`texts` cannot be empty")
        self._check_batch(len(request.texts))
        if not request.query and not all(request.texts):
            raise self._empty()
        truncate = self._truncates(request.truncate)
        self._check_pairs(request, model.model.max_tokens * MAX_CHAR_MULTIPLIER, truncate=truncate)
        with self._permits(len(request.texts), waits=True):
            try:
                scores = await model.ascore(
                    request.query, request.texts, truncate=truncate, direction=request.direction
                )
            except TextTooLong as error:
                limit = model.model.max_tokens
                raise self._invalid(
                    f"`inputs` must have less than {limit} tokens. Given: {limit + 1} or more"
                ) from error
            except NonFiniteVector as error:
                raise self._refusal("Backend", "score is NaN") from error
            except InputError as error:
                raise self._invalid(str(error)) from error
        return Response(orjson.dumps(_ranks(scores, request)))

    def _truncates(self, requested: bool | None) -> bool:
        return self._settings.auto_truncate if requested is None else requested

    @contextlib.contextmanager
    def _permits(self, count: int, *, waits: bool) -> "Iterator[None]":
        """Count texts in flight.

        Args:
            count: The request's texts.
            waits: Whether 1.8 lets the request wait while the server is overloaded.

        Raises:
            RequestError: The server is overloaded.
        """
        is_full = self._in_flight + count > self._settings.max_concurrent_requests
        if is_full and not (waits and self._settings.release == "1.8"):
            raise self._refusal("Overloaded", "Model is overloaded")
        self._in_flight += count
        try:
            yield
        finally:
            self._in_flight -= count

    def _check_batch(self, size: int) -> None:
        if size > (limit := self._settings.max_client_batch_size):
            raise self._refusal("Validation", f"batch size {size} > maximum allowed batch size {limit}")

    def _check_prompt(self, encoder: Encoder, name: str) -> None:
        if name in encoder.model.prompts:
            return
        problem = f"`default-prompt-name` is set to `{name[:100]}` but"
        if not encoder.model.prompts:
            raise self._invalid(f"{problem} no prompts were found in the Sentence Transformers configuration")
        available = ", ".join(f'"{prompt}"' for prompt in encoder.model.prompts)
        raise self._invalid(
            f"{problem} it was not found in the Sentence Transformers prompts. Available prompts: [{available}]"
        )

    def _within(self, limit: int, value: "TextInput", *, truncate: bool) -> "TextInput":
        """The input within TEI's limit on characters; truncation counts bytes."""
        if len(value) <= limit:
            return value
        if not truncate:
            raise self._invalid(f"`inputs` must have less than {limit} characters. Given: {len(value)}")
        return _shortened(value, limit) if isinstance(value, str) else value

    def _check_pairs(self, request: RerankRequest, limit: int, *, truncate: bool) -> None:
        """Reject pairs over TEI's limit on characters."""
        longest = len(request.query) + max(map(len, request.texts))
        if longest > limit and not truncate:
            raise self._invalid(f"`inputs` must have less than {limit} characters. Given: {longest}")

    async def _too_long(self, encoder: Encoder, value: "TextInput", prompt_name: str | None) -> RequestError:
        given = len(value)
        if isinstance(value, str):
            prompt = self._settings.default_prompt or "" if prompt_name is None else encoder.prompt(prompt_name)
            given = await encoder.acount(prompt + value)
        return self._invalid(f"`inputs` must have less than {encoder.model.max_tokens} tokens. Given: {given}")

    def _empty(self) -> RequestError:
        message = "Input validation error: `inputs` cannot be empty"
        return self._refusal("Validation" if self._settings.release == "1.8" else "Empty", message)

    def _invalid(self, message: str) -> RequestError:
        return self._refusal("Validation", f"Input validation error: {message}")

    def _refusal(self, error_type: str, message: str) -> RequestError:
        return RequestError(self._status(error_type), error_type, message)

    def _status(self, error_type: str) -> int:
        return _STATUS.get(error_type, _VALIDATION[self._settings.release])


def _shortened(text: str, limit: int) -> str:
    try:
        return text.encode()[:limit].decode()
    except UnicodeDecodeError:  # TEI truncates nothing if it would cut a character
        return text


def _ranks(scores: "Scores", request: RerankRequest) -> "list[dict[str, float | int | str]]":
    """TEI's ``Rank`` objects: by score, of equal ones the last first. The score is the logit's sigmoid by default.

    A model's own activation has no effect.
    """
    logits = scores.logits[:, 0]
    with np.errstate(over="ignore"):  # an infinite exponential is a score of 0
        values = logits if request.raw_scores else 1 / (1 + np.exp(-logits))
    order = np.argsort(values, kind="stable")[::-1].tolist()
    return [
        {
            "index": index,
            **({"text": request.texts[index]} if request.return_text else {}),
            "score": float(values[index]),
        }
        for index in order
    ]
