"""A worker with a lease, as a process of its own, so that it can be stopped in the middle.

Lines on standard input: `lease` takes the lease and prints its token; `write TEXT` writes under that token and prints
whether it was let; `renew` prints whether the lease is still held.
"""

import asyncio
import sys

from sqlalchemy import BigInteger, Column, MetaData, Table, Text, insert, or_, select, update

from perdure.adapters.database import open_database
from perdure.adapters.redis_locks import RedisLocks

metadata = MetaData()
fenced = Table(
    "fenced", metadata, Column("tenant", Text, primary_key=True), Column("token", BigInteger), Column("text", Text)
)
NAME, TTL = "sweep", 0.15


def writing(token: int, words: str):
    """Write under a fencing token: refused when a later holder has written."""

    def work(transaction) -> bool:
        connection, tenant = transaction.connection, transaction.tenant
        if connection.execute(select(fenced.c.token).where(fenced.c.tenant == tenant)).first() is None:
            connection.execute(insert(fenced).values(tenant=tenant, token=token, text=words))
            return True
        mine = fenced.c.tenant == tenant, or_(fenced.c.token <= token, fenced.c.token.is_(None))
        return connection.execute(update(fenced).where(*mine).values(token=token, text=words)).rowcount == 1

    return work


async def main(url: str, valkey: str, holder: str) -> None:
    database, locks, token = open_database(url, "zombie"), RedisLocks(valkey), 0
    while line := await asyncio.to_thread(sys.stdin.readline):
        verb, *words = line.split()
        if verb == "lease":
            answer = token = await locks.lease(NAME, holder, TTL)
        elif verb == "renew":
            answer = await locks.renew(NAME, holder, token, TTL)
        else:
            answer = await database.write("acme", writing(token, words[0]))
        print(answer, flush=True)
    await locks.close()
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4]))
