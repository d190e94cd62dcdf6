import pytest
from api import schema
pytestmark = pytest.mark.anyio
async def test_schema(database_url):
    await schema.check(database_url)
