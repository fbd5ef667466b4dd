"""The pipeline: scene, caption, answers, objects and places of any picture in one call.

Three roles, each filled by any model: CLIP can name the scene, BLIP-2 can talk and Florence-2 can point, or one
model can do all three.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from PIL import Image

from chiasm.data.images import open_image
from chiasm.errors import ImageError
from chiasm.types import Answer, Detection, ImageSource

if TYPE_CHECKING:
    from chiasm.models.protocol import VisionLanguageModel


class SceneClassifier(Protocol):
    """Names the kind of place."""

    def classify(self, images: Sequence[Image.Image]) -> list[Answer]:
        """One answer a picture; its text is the name of a scene."""
        ...


class Language(Protocol):
    """Describes pictures and answers questions about them."""

    def caption(self, images: Sequence[Image.Image]) -> list[Answer] | None:
        """None from a model that only answers."""
        ...

    def answer(self, images: Sequence[Image.Image], questions: Sequence[Sequence[str]]) -> list[list[Answer]]:
        """`questions[i]` are asked about `images[i]`."""
        ...


class Detector(Protocol):
    """Finds every object it knows, or the objects asked for. Boxes are in pixels of the picture it was given."""

    def detect(self, images: Sequence[Image.Image]) -> list[Detection]:
        """One Detection a picture."""
        ...

    def ground(self, images: Sequence[Image.Image], phrases: Sequence[Sequence[str]]) -> list[list[Detection]]:
        """One Detection for each of `phrases[i]` in `images[i]`; no objects when nothing fits the phrase."""
        ...


@dataclass(frozen=True)
class Seen:
    """What a pipeline saw in one picture; a part is None where no role fills it or nothing was asked.

    `notice` warns that the picture is unlike what the model was trained on.
    """

    scene: Answer | None = None
    caption: Answer | None = None
    detection: Detection | None = None
    answer: Answer | None = None
    grounded: dict[str, Detection] = field(default_factory=dict)
    notice: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: `scene_type`, `caption`, `objects` [{name, box, score}], `answer`, `grounded`
        {name: {found, boxes}} and `notice`. Boxes are [x1, y1, x2, y2] in pixels of the upright picture."""
        return {
            "scene_type": self.scene.text if self.scene else None,
            "caption": self.caption.text if self.caption else None,
            "objects": [{"name": o.name, "box": _corners(o.box), "score": o.score} for o in self.detection.objects]
            if self.detection
            else None,
            "answer": self.answer.text if self.answer else None,
            "grounded": {
                phrase: {"found": bool(d.objects), "boxes": [_corners(o.box) for o in d.objects]}
                for phrase, d in self.grounded.items()
            },
            "notice": self.notice,
        }


def _corners(box: Any) -> list[float] | None:
    return None if box is None else [round(v, 1) for v in box.as_tuple()]


class Pipeline:
    """Three roles and what they say of a picture.

        pipeline = Pipeline(scene=clip, language=blip2, detector=florence)
        pipeline.process("photo.jpg", question="what is on the table?", ground_objects=["cup"]).to_dict()

    `warn` looks at pictures and returns a notice, or None, for each; `description` goes into run folders. `model` is
    the one that fills the roles, where it is one whose features can be looked at.
    """

    def __init__(
        self,
        scene: SceneClassifier | None = None,
        language: Language | None = None,
        detector: Detector | None = None,
        *,
        name: str = "pipeline",
        warn: Callable[[Sequence[Image.Image]], list[str | None]] | None = None,
        description: dict[str, Any] | None = None,
        model: VisionLanguageModel | None = None,
    ):
        self.scene, self.language, self.detector = scene, language, detector
        self.name, self.warn, self.description, self.model = name, warn, description or {}, model

    def describe(self) -> dict[str, Any]:
        """Name and description, for the manifest of a run."""
        return {"name": self.name, **self.description}

    def process(
        self, image: ImageSource, question: str | None = None, ground_objects: Sequence[str] | None = None
    ) -> Seen:
        """Everything about one picture. Raises ImageError for one that can't be opened."""
        return self.process_batch([open_image(image)], question, ground_objects)[0]

    def process_batch(
        self, images: Sequence[Image.Image], question: str | None = None, ground_objects: Sequence[str] | None = None
    ) -> list[Seen]:
        """The same for opened pictures, all at once; each is asked the same."""
        phrases = list(ground_objects or ())
        scenes = self.scene.classify(images) if self.scene else None
        captions = self.language.caption(images) if self.language else None
        answers = self.language.answer(images, [[question]] * len(images)) if self.language and question else None
        found = self.detector.detect(images) if self.detector else None
        grounded = self.detector.ground(images, [phrases] * len(images)) if self.detector and phrases else None
        notices = self.warn(images) if self.warn else None
        return [
            Seen(
                scene=scenes[i] if scenes else None,
                caption=captions[i] if captions else None,
                detection=found[i] if found else None,
                answer=answers[i][0] if answers else None,
                grounded=dict(zip(phrases, grounded[i], strict=True)) if grounded else {},
                notice=notices[i] if notices else None,
            )
            for i in range(len(images))
        ]

    def process_many(
        self,
        sources: Sequence[ImageSource],
        question: str | None = None,
        ground_objects: Sequence[str] | None = None,
        batch: int = 16,
    ) -> Iterator[tuple[ImageSource, Image.Image, Seen] | tuple[ImageSource, None, ImageError]]:
        """Any number of pictures, opened and looked at `batch` at a time, in order. One that can't be opened comes
        back as its error, and the rest go on."""
        for start in range(0, len(sources), batch):
            opened = [(source, _open_or_error(source)) for source in sources[start : start + batch]]
            images = [image for _, image in opened if isinstance(image, Image.Image)]
            seen = iter(self.process_batch(images, question, ground_objects) if images else ())
            for source, image in opened:
                if isinstance(image, ImageError):
                    yield source, None, image
                else:
                    yield source, image, next(seen)


def _open_or_error(source: ImageSource) -> Image.Image | ImageError:
    try:
        return open_image(source)
    except ImageError as error:
        return error
