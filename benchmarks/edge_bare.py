"""The peer of `edge.py`: a bare FastAPI with one SQLite insert (WAL, FULL) and one read, on a port of its own choice."""

import sqlite3
import sys
import uuid

import uvicorn
from fastapi import FastAPI, HTTPException

app = FastAPI()
base = sqlite3.connect(sys.argv[1], isolation_level=None, check_same_thread=False)
base.execute("PRAGMA journal_mode = WAL")
base.execute("PRAGMA synchronous = FULL")
base.execute("CREATE TABLE IF NOT EXISTS rows (id TEXT PRIMARY KEY, body TEXT NOT NULL)")


@app.post("/rows", status_code=201)
async def add(body: dict) -> dict:
    id = str(uuid.uuid4())
    base.execute("INSERT INTO rows VALUES (?, ?)", (id, str(body)))
    return {"id": id}


@app.get("/rows/{id}")
async def get(id: str) -> dict:
    row = base.execute("SELECT id, body FROM rows WHERE id = ?", (id,)).fetchone()
    if row is None:
        raise HTTPException(404)
    return {"id": row[0], "body": row[1]}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), access_log=False, log_level="warning")
