"""Routes of the playground: the data of experiments, and the neighbours of an uploaded picture."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import anyio
from fastapi import APIRouter, FastAPI, File, Form, UploadFile
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response
from starlette.types import Scope

from crossmodal.experiment.files import experiments_folder, listing
from serving.http.errors import PROBLEMS, ProblemRoute, RefusedError

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'",
    "Cache-Control": "no-cache",  # an experiment can be run again under its name
}


class NearestAnswer(BaseModel):
    """The nearest pictures of an experiment to an uploaded one."""

    neighbours: list[int] = Field(description="indices of pictures of the experiment, nearest first, at most 15")
    distances: list[float]
    took_ms: float


class _ExperimentFiles(StaticFiles):
    """The files of the experiments; their folder may be missing."""

    async def check_config(self) -> None:
        """Accepts a missing folder; its files are then not found."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update(_HEADERS)
        return response


def add_playground(app: FastAPI, workspace: Path) -> None:
    """Adds GET /playground/data/... and POST /playground/try."""
    router = APIRouter(route_class=ProblemRoute)
    one_at_a_time = anyio.CapacityLimiter(1)  # waiting requests occupy no thread
    trials: list[Any] = []

    @router.get("/playground/data/index.json", summary="The experiments and comparisons of the workspace")
    def index() -> Response:
        return JSONResponse(listing(experiments_folder(workspace), live=True), headers=_HEADERS)

    @router.post(
        "/playground/try",
        summary="The nearest pictures of an experiment to a picture of yours",
        responses=PROBLEMS,
    )
    async def try_picture(
        file: Annotated[UploadFile, File(description="the picture")],
        experiment: Annotated[str, Form(description="its name")],
        model: Annotated[int, Form(description="index in its `models`")],
        layer: Annotated[int, Form(description="index in the model's `layers`")],
        metric: Annotated[int, Form(description="index in its `metrics`")],
    ) -> NearestAnswer:
        """By one of its models, layers and metrics. The first picture of a model waits until it is loaded."""
        started, content = time.perf_counter(), await file.read()

        def nearest() -> NearestAnswer:
            from crossmodal.experiment.live import Trials  # imports torch

            if not trials:
                trials.append(Trials(workspace))
            if not trials[0].has(experiment):
                raise RefusedError(
                    404, f"no experiment {experiment[:100]!r}: GET /playground/data/index.json lists them"
                )
            found = trials[0].nearest(experiment, model, layer, metric, content)
            took_ms = round((time.perf_counter() - started) * 1e3, 3)
            return NearestAnswer(neighbours=found.neighbours, distances=found.distances, took_ms=took_ms)

        return await anyio.to_thread.run_sync(nearest, limiter=one_at_a_time)

    app.include_router(router)
    files = _ExperimentFiles(directory=experiments_folder(workspace), check_dir=False)
    app.mount("/playground/data", files, name="experiments")
