"""The tutorial's own server, as the tutorial writes it, for comparison with ours.

It opens a connection for each request, makes one SELECT and compares the password as stored. Do not
use it for anything else.
"""

import os
from typing import Any

import pymysql
import serverless_wsgi
from flask import Flask, jsonify, request
from flask.typing import ResponseReturnValue

app = Flask(__name__)


@app.route("/")
def index() -> str:
    """Answer that the server is up."""
    return "OK"


@app.route("/login", methods=["POST"])
def login() -> ResponseReturnValue:
    """Compare the name and password with the stored ones."""
    data = request.get_json()
    if not data or "username" not in data or "password" not in data:
        return "Input data not valid", 400
    connection = pymysql.connect(
        host=os.environ["TUTORIAL_HOST"],
        port=int(os.environ["TUTORIAL_PORT"]),
        user=os.environ["TUTORIAL_USER"],
        password=os.environ["TUTORIAL_PASSWORD"],
        database=os.environ["TUTORIAL_DATABASE"],
        ssl_disabled=os.environ.get("TUTORIAL_TLS") == "off",
        cursorclass=pymysql.cursors.DictCursor,
    )
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT password FROM users WHERE username = %s", (data["username"],))
        user: Any = cursor.fetchone()
    return jsonify({"status": user is not None and user["password"] == data["password"]})


def http(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Answer one request of an HTTP API."""
    answer: dict[str, Any] = serverless_wsgi.handle_request(app, event, context)
    return answer
