"""A small installation's identity: a real database in a temporary file, a clock that jumps."""

import pytest

from perdure.adapters.clock import TestClock
from perdure.adapters.database import open_database
from perdure.adapters.sealing import KeySealing
from perdure.ports.edge import Caller
from perdure.services.identity import store
from perdure.services.identity.keys import Keys
from perdure.services.identity.models import granted, held
from perdure.services.identity.service import Ground, Tenants
from perdure.services.identity.sessions import Sessions
from perdure.services.identity.tokens import Tokens
from perdure.services.identity.users import Passwords, Users

PASSWORD = "correct horse battery"


def somebody(role="owner", *, tenant="default", subject="usr_somebody", is_home=True):
    permissions = granted(role, is_home=is_home)
    return Caller(tenant=tenant, subject=subject, roles=held(role), permissions=permissions, by="session")


class Identity:
    def __init__(self, database) -> None:
        self.clock = TestClock()
        self.ground = Ground(database=database, clock=self.clock, sealing=KeySealing((bytes(32),)))
        self.tenants = Tenants(self.ground)
        self.keys = Keys(self.ground)
        self.passwords = Passwords()
        self.users = Users(self.ground, self.passwords)
        self.tokens = Tokens(self.ground, "https://perdure.example")
        self.sessions = Sessions(self.ground, self.passwords, self.users, self.tokens)


@pytest.fixture
async def identity():
    database = open_database("sqlite://", "identity", store.metadata)
    made = Identity(database)
    await made.tenants.first_key("default")
    yield made
    await database.close()


@pytest.fixture
async def ana(identity):
    return await identity.users.create(
        somebody(), email="Ana@Example.com ", name="Ana", role="editor", password=PASSWORD
    )
