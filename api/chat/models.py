"""`GET /v1/models`: the agents that live workers serve."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from api.chat.chat_schema import Model, ModelList
from api.fleet.agent_directory import AgentDirectory
from api.http import api_errors
from api.http.auth import Authenticator
from api.http.endpoint import Endpoint, ResponseOf
from api.http.json_value import JsonObject, compact
from api.http.parameters import Text
from shared.ledger.presence import ANY, ServedAgent

_JSON = {"Content-Type": api_errors.JSON}

MODEL = Text("model", "Id of an agent.", place="path")


@dataclass(frozen=True)
class Models:
    authenticator: Authenticator
    directory: AgentDirectory

    @Endpoint(
        "GET",
        "/v1/models",
        "listModels",
        "List the agents that live workers serve.",
        {200: ResponseOf(ModelList, "The agents.")},
    )
    async def index(self, request: Request) -> Response:
        self.authenticator.authenticate(request.headers)
        agents = await self.directory.live()
        models = [_model(name, agent) for name, agent in sorted(agents.items()) if name != ANY]
        return Response(compact({"object": "list", "data": list(models)}), headers=_JSON)

    @Endpoint(
        "GET",
        "/v1/models/{model}",
        "showModel",
        "Show one agent.",
        {200: ResponseOf(Model, "The agent.")},
        parameters=(MODEL,),
    )
    async def show(self, request: Request) -> Response:
        self.authenticator.authenticate(request.headers)
        name = MODEL.of(request)
        agents = await self.directory.live()
        if name == ANY or name not in agents:
            raise api_errors.agent_not_found(name)
        return Response(compact(_model(name, agents[name])), headers=_JSON)


def _model(name: str, agent: ServedAgent) -> JsonObject:
    return {
        "id": name,
        "object": "model",
        "created": 0,  # workers do not agree on a time at which an agent was created
        "owned_by": "runrelay",
        "description": agent.description,
    }
