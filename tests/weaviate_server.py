"""A small real HTTP server that speaks the part of Weaviate's protocol that is used here.

Written after the reference of REST and GraphQL of Weaviate 1.39 and its source: collections with
tokenizations, batches whose objects fail one by one, deletion by filter with a limit, and GraphQL
whose schema is made of the collections, so that a query that is not well formed or asks for what is
not there fails as it does there. It searches by plain sums; it is no Weaviate.
"""

import json
import math
import re
import threading
import uuid
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLFloat,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInt,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLString,
    graphql_sync,
)

__all__ = ["Kept", "serve"]

OPERATORS = (
    "And",
    "Or",
    "Equal",
    "NotEqual",
    "GreaterThan",
    "GreaterThanEqual",
    "LessThan",
    "LessThanEqual",
)
WHERE = GraphQLInputObjectType(
    "Where",
    lambda: {
        "path": GraphQLInputField(GraphQLList(GraphQLString)),
        "operator": GraphQLInputField(GraphQLEnumType("Operator", {name: name for name in OPERATORS})),
        "operands": GraphQLInputField(GraphQLList(WHERE)),
        "valueText": GraphQLInputField(GraphQLString),
        "valueInt": GraphQLInputField(GraphQLInt),
    },
)  # fmt: skip
NEAR = GraphQLInputObjectType(
    "NearVector",
    {"vector": GraphQLInputField(GraphQLNonNull(GraphQLList(GraphQLNonNull(GraphQLFloat))))},
)
BM25 = GraphQLInputObjectType(
    "Bm25",
    {
        "query": GraphQLInputField(GraphQLNonNull(GraphQLString)),
        "properties": GraphQLInputField(GraphQLList(GraphQLString)),
    },
)
ADDITIONAL = GraphQLObjectType(
    "Additional",
    {
        "id": GraphQLField(GraphQLString),
        "distance": GraphQLField(GraphQLFloat),
        "score": GraphQLField(GraphQLString),
        "vector": GraphQLField(GraphQLList(GraphQLFloat)),
    },
)
META = GraphQLObjectType(
    "Aggregated",
    {"meta": GraphQLField(GraphQLObjectType("Meta", {"count": GraphQLField(GraphQLInt)}))},
)
KINDS = {"text": str, "int": int, "text[]": list}
COLLECTION_KEYS = {
    "class", "description", "vectorizer", "vectorIndexConfig", "invertedIndexConfig", "properties",
}  # fmt: skip


class RefusedError(Exception):
    """What the server answers with 422."""


class Kept:
    """What a server keeps, was asked and shall do next.

    `script` holds what the next requests get instead: a status, "close" for none, or "lost" where
    what was asked is done and the answer is lost.
    """

    def __init__(self, *, key="", version="1.39.7", limit=10_000, graphql=True):
        self.key, self.version, self.limit, self.graphql = key, version, limit, graphql
        self.collections, self.objects = {}, {}
        self.requests, self.script = [], []
        self.lock = threading.RLock()
        self.url = ""

    def asked(self, method, path):
        return [body for m, p, body in self.requests if (m, p) == (method, path)]

    def create(self, definition):
        name = definition["class"]
        unknown = set(definition) - COLLECTION_KEYS
        if unknown or not re.fullmatch(r"[A-Z][_0-9A-Za-z]*", name):
            raise RefusedError(f"{name!r} is not a valid class name, or {unknown} is unknown")
        if name in self.collections:
            raise RefusedError(f"class name {name} already exists")
        if definition["vectorizer"] != "none":
            raise RefusedError("no such vectorizer")
        for one in definition["properties"]:
            (kind,) = one["dataType"]
            if kind not in KINDS or not re.fullmatch(r"[_A-Za-z][_0-9A-Za-z]{0,230}", one["name"]):
                raise RefusedError(f"{one['name']}: invalid dataType or name")
            if one["name"] in {"id", "_id", "_additional"}:
                raise RefusedError(f"{one['name']} is a reserved property name")
            text = kind.startswith("text")
            if not text and ("tokenization" in one or one.get("indexSearchable")):
                raise RefusedError("Tokenization and indexSearchable are only for text")
        self.collections[name], self.objects[name] = definition, {}

    def put(self, rows):
        return [{**row, "result": self._put(row)} for row in rows]

    def _put(self, row):
        try:
            self._check(row)
        except RefusedError as error:
            return {"status": "FAILED", "errors": {"error": [{"message": str(error)}]}}
        self.objects[row["class"]][str(uuid.UUID(row["id"]))] = row
        return {"status": "SUCCESS"}

    def _check(self, row):
        if set(row) != {"class", "id", "vector", "properties"}:
            raise RefusedError("unknown fields")
        kinds = {
            p["name"]: KINDS[p["dataType"][0]] for p in self._definition(row["class"])["properties"]
        }
        for name, value in row["properties"].items():
            if not isinstance(value, kinds.get(name, ())):
                raise RefusedError(f"invalid property '{name}' on class '{row['class']}'")
        others = self.objects[row["class"]].values()
        if any(len(other["vector"]) != len(row["vector"]) for other in others):
            raise RefusedError("new node has a vector with another length")

    def _definition(self, name):
        if name not in self.collections:
            raise RefusedError(f"class {name} not found in schema")
        return self.collections[name]

    def delete(self, match):
        name = match["class"]
        self._definition(name)
        found = [key for key, row in self.objects[name].items() if self.passes(row, match["where"])]
        for key in found[: self.limit]:
            del self.objects[name][key]
        done = min(len(found), self.limit)
        return {
            "matches": done,
            "limit": self.limit,
            "successful": done,
            "failed": 0,
            "objects": None,
        }

    def property(self, name, key):
        told = next((p for p in self._definition(name)["properties"] if p["name"] == key), None)
        if told is None:
            raise RefusedError(f"no such prop with name '{key}' found in class '{name}'")
        return told

    def passes(self, row, where):
        operator = where["operator"]
        if operator in ("And", "Or"):
            if not where["operands"]:
                raise RefusedError("missing operands")
            return (all if operator == "And" else any)(
                self.passes(row, part) for part in where["operands"]
            )
        (key,) = where["path"]
        if key == "id":
            return row["id"] == where["valueText"]
        told = self.property(row["class"], key)
        if not told.get("indexFilterable", True):
            raise RefusedError(f"Filtering by property '{key}' requires inverted index")
        kind = "valueInt" if told["dataType"] == ["int"] else "valueText"
        if set(where) - {"path", "operator"} != {kind}:
            raise RefusedError(
                f"data type filter cannot use {set(where)} on type {told['dataType']}"
            )
        own, value = row["properties"][key], where[kind]
        if kind == "valueText":
            if operator not in ("Equal", "NotEqual"):
                raise RefusedError("not of a text here")
            has = set(tokens(value, told)) <= {
                t for part in listed(own) for t in tokens(part, told)
            }
            return has == (operator == "Equal")
        return {
            "Equal": own == value, "NotEqual": own != value, "GreaterThan": own > value,
            "GreaterThanEqual": own >= value, "LessThan": own < value, "LessThanEqual": own <= value,
        }[operator]  # fmt: skip

    def query(self, text):
        get = {name: GraphQLField(GraphQLList(self._type(name)), self._arguments(near=True), self._get)
               for name in self.collections}  # fmt: skip
        aggregate = {
            name: GraphQLField(GraphQLList(META), self._arguments(near=False), self._aggregate)
            for name in self.collections
        }
        if not get:
            return {"errors": [{"message": "no schema present"}], "data": None}
        root = GraphQLObjectType(
            "WeaviateObj",
            {
                "Get": GraphQLField(GraphQLObjectType("GetObj", get), resolve=lambda *_: {}),
                "Aggregate": GraphQLField(
                    GraphQLObjectType("AggObj", aggregate), resolve=lambda *_: {}
                ),
            },
        )
        done = graphql_sync(GraphQLSchema(root), text)
        said = {"data": done.data}
        return said | (
            {"errors": [{"message": e.message} for e in done.errors]} if done.errors else {}
        )

    def _type(self, name):
        kinds = {"text": GraphQLString, "int": GraphQLInt, "text[]": GraphQLList(GraphQLString)}
        told = {
            p["name"]: GraphQLField(kinds[p["dataType"][0]])
            for p in self.collections[name]["properties"]
        }
        return GraphQLObjectType(name, {**told, "_additional": GraphQLField(ADDITIONAL)})

    def _arguments(self, *, near):
        found = {"where": GraphQLArgument(WHERE), "limit": GraphQLArgument(GraphQLInt)}
        more = {"nearVector": GraphQLArgument(NEAR), "bm25": GraphQLArgument(BM25)}
        return found | more if near else {"where": found["where"]}

    def _chosen(self, name, where):
        return [
            row for row in self.objects[name].values() if where is None or self.passes(row, where)
        ]

    def _aggregate(self, _, info, where=None):
        return [{"meta": {"count": len(self._chosen(info.field_name, where))}}]

    def _get(self, _, info, where=None, limit=100, nearVector=None, bm25=None):
        name = info.field_name
        rows = self._chosen(name, where)
        if nearVector and bm25:
            raise RefusedError("only one search operator")
        if nearVector:
            scored = [(distance(row["vector"], nearVector["vector"]), row) for row in rows]
            scored.sort(key=lambda pair: pair[0])
            found = [(row, {"distance": far, "score": "0"}) for far, row in scored]
        elif bm25:
            scores = self._bm25(name, bm25)
            found = [
                (row, {"score": f"{scores[row['id']]:.7g}"}) for row in rows if row["id"] in scores
            ]
            found.sort(key=lambda pair: -scores[pair[0]["id"]])
        else:
            found = [(row, {}) for row in rows]
        return [
            {**row["properties"], "_additional": {"id": row["id"], "vector": row["vector"], **more}}
            for row, more in found[:limit]
        ]

    def _bm25(self, name, asked):
        """Id to score of what has a word of the query, as in terms.go of the server: without k + 1."""
        (key,) = asked["properties"]
        told, config = self.property(name, key), self.collections[name]["invertedIndexConfig"]
        if not told.get("indexSearchable", True):
            raise RefusedError(f"bm25 on property '{key}' requires inverted index")
        k, b = config["bm25"]["k1"], config["bm25"]["b"]
        stop = set() if config["stopwords"]["preset"] == "none" else {"the", "a", "is", "it", "in"}
        words = {
            row["id"]: tokens(row["properties"][key], told) for row in self.objects[name].values()
        }
        query = [word for word in tokens(asked["query"], told) if word not in stop]
        mean = sum(map(len, words.values())) / max(1, len(words))
        scores = {}
        for word in query:
            within = sum(word in own for own in words.values())
            idf = math.log(1 + (len(words) - within + 0.5) / (within + 0.5))
            for one, own in words.items():
                count = own.count(word)
                if count:
                    part = idf * count / (count + k * (1 - b + b * len(own) / mean))
                    scores[one] = scores.get(one, 0.0) + part
        return scores


def tokens(text, told):
    how = told.get("tokenization", "word")
    if how == "field":
        return [text.strip()]
    return text.split() if how == "whitespace" else re.findall(r"[^\W_]+", text.lower())


def listed(value):
    return value if isinstance(value, list) else [value]


def distance(one, two):
    if len(one) != len(two):
        raise RefusedError("vector lengths don't match")
    one, two = np.array(one), np.array(two)
    return float(1 - one @ two / (np.linalg.norm(one) * np.linalg.norm(two)))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers and body in one packet: two wait 40 ms for each other

    def _do(self):
        kept = self.server.kept
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        with kept.lock:
            kept.requests.append((self.command, self.path, body))
            act = kept.script.pop(0) if kept.script else None
            self.lost = act == "lost"
            if act == "close":
                self.close_connection = True
                self.connection.close()
                return
            if act not in (None, "lost"):
                self._send(act, wrong(f"told to answer {act}"))
                return
            try:
                self._answer(kept, body)
            except RefusedError as error:
                self._send(422, wrong(str(error)))

    do_GET = do_POST = do_DELETE = _do

    def _answer(self, kept, body):
        ask = (self.command, self.path)
        if ask == ("GET", "/v1/.well-known/ready"):
            self._send(200, {})
        elif kept.key and self.headers.get("Authorization") != f"Bearer {kept.key}":
            self._send(
                401, {"code": 401, "message": f"unauthorized: {self.headers.get('Authorization')}"}
            )
        elif ask == ("GET", "/v1/meta"):
            self._send(
                200, {"hostname": "http://[::]:8080", "modules": {}, "version": kept.version}
            )
        elif ask == ("GET", "/v1/schema"):
            self._send(200, {"classes": list(kept.collections.values())})
        elif ask == ("POST", "/v1/schema"):
            kept.create(body)
            self._send(200, body)
        elif self.path.startswith("/v1/schema/"):
            name = self.path.rpartition("/")[2]
            if self.command == "DELETE":
                kept.objects.pop(name, None)
                had = kept.collections.pop(name, None)
                self._send(*((200, None) if had else (400, wrong("could not find class"))))
            else:
                self._send(200 if name in kept.collections else 404, kept.collections.get(name))
        elif ask == ("POST", "/v1/batch/objects"):
            self._send(200, kept.put(body["objects"]))
        elif ask == ("DELETE", "/v1/batch/objects"):
            self._send(200, {**body, "results": kept.delete(body["match"])})
        elif ask == ("POST", "/v1/graphql"):
            if not kept.graphql:
                raise RefusedError("graphql api is disabled")
            self._send(200, kept.query(body["query"]))
        else:
            self._send(404, {"code": 404, "message": f"path {self.path} was not found"})

    def _send(self, status, body):
        if self.lost:
            self.close_connection = True
            self.connection.close()
            return
        content = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


def wrong(message):
    return {"error": [{"message": message}]}


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass  # a connection closed on purpose


@contextmanager
def serve(kept):
    """Serve on a free port of this machine."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.kept = kept
        kept.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield kept
        finally:
            server.shutdown()
            thread.join()
